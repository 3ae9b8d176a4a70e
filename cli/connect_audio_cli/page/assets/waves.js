// The lanes, the overview and the axis: drawn on canvas, a frame at a time, only when something has changed.
'use strict';

const LEAST_SPAN_S = 2; // seconds of the closest view
const AXIS_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400];
const AXIS_PX = 26;
const COLOURS = ['party0', 'party1', 'gap', 'line', 'dim', 'ink', 'ground', 'card'];

class Waves {
  constructor(call, lanes, overview, state) {
    this.call = call;
    this.lanes = lanes;
    this.overview = overview;
    this.state = state; // () => ({place, hover, gains})
    this.from = 0;
    this.span = call.duration;
    this.leastSpan = Math.min(call.duration, LEAST_SPAN_S);
    this.still = null;
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.still = null;
  }

  view(from, span) {
    this.span = Math.min(this.call.duration, Math.max(this.leastSpan, span));
    this.from = Math.min(this.call.duration - this.span, Math.max(0, from));
  }

  /** Shows `factor` times as much time, with `place` where it is. */
  zoom(factor, place) {
    const share = (place - this.from) / this.span;
    const span = Math.min(this.call.duration, Math.max(this.leastSpan, this.span * factor));
    this.view(place - share * span, span);
  }

  /** Turns the page where the place leaves the view; `jumped` to a place, it may lie anywhere in the view. */
  follow(place, jumped) {
    const last = this.from + this.span * (jumped ? 1 : 0.98);
    if (place < this.from || place > last) this.view(place - this.span * 0.1, this.span);
  }

  placeAt(clientX) {
    const box = this.lanes.getBoundingClientRect();
    return this.from + ((clientX - box.left) / box.width) * this.span;
  }

  draw() {
    // A layout that is not there yet has no width, and drawing on it would throw.
    if (!this.lanes.clientWidth || !this.overview.clientWidth) return;
    this.#drawLanes();
    this.#drawOverview();
  }

  #drawLanes() {
    const {call, colours} = this;
    const {place, hover, gains} = this.state();
    const [g, width, height] = surface(this.lanes);
    const lane = (height - AXIS_PX) / call.parties.length;
    const x = (seconds) => ((seconds - this.from) * width) / this.span;
    g.clearRect(0, 0, width, height);
    call.parties.forEach((_, channel) => {
      const top = channel * lane;
      g.fillStyle = colours.ground;
      g.fillRect(0, top + 2, width, lane - 4);
      g.fillStyle = colours.line;
      g.fillRect(0, top + lane / 2 - 0.5, width, 1);
      g.globalAlpha = gains[channel] > 0 ? 1 : 0.3;
      this.#wave(g, channel, width, top + lane / 2, lane / 2 - 6, this.from, this.span);
      g.globalAlpha = 1;
    });
    for (const gap of call.gaps) {
      if (gap.start > this.from + this.span || gap.start + gap.seconds < this.from) continue;
      const left = x(gap.start);
      const gapWidth = Math.max(3, x(gap.start + gap.seconds) - left);
      for (const party of gap.parties) this.#hatch(g, left, party * lane + 2, gapWidth, lane - 4);
      if (gapWidth > 64) this.#label(g, `gap ${lengthText(gap.seconds)}`, Math.max(0, left) + 4, gap.parties[0] * lane + 6);
    }
    this.#axis(g, width, height - AXIS_PX, x);
    if (hover !== null) {
      g.fillStyle = colours.dim;
      g.fillRect(x(hover), 0, 1, height - AXIS_PX);
    }
    g.fillStyle = colours.ink;
    g.fillRect(x(place) - 1, 0, 2, height - AXIS_PX + 4);
    g.beginPath();
    g.moveTo(x(place) - 6, 0);
    g.lineTo(x(place) + 6, 0);
    g.lineTo(x(place), 8);
    g.fill();
  }

  #wave(g, channel, width, middle, half, from, span) {
    const {pyramids, heights, bucketsPerSecond} = this.call;
    const perPixel = (span / width) * bucketsPerSecond;
    const first = from * bucketsPerSecond;
    g.fillStyle = this.colours[`party${channel}`];
    g.beginPath();
    for (let i = 0; i < width; i++) {
      const peak = peakBetween(pyramids[channel], first + i * perPixel, first + (i + 1) * perPixel);
      const high = Math.max(0.5, heights[channel][peak] * half);
      g.rect(i, middle - high, 1, 2 * high);
    }
    g.fill();
  }

  /** A gap is told by its hatching and its outline, not by its colour alone. */
  #hatch(g, left, top, width, height) {
    g.save();
    g.beginPath();
    g.rect(left, top, width, height);
    g.clip();
    g.fillStyle = g.strokeStyle = this.colours.gap;
    g.globalAlpha = 0.12;
    g.fillRect(left, top, width, height);
    g.globalAlpha = 0.7;
    g.lineWidth = 1.2;
    g.beginPath();
    const begin = Math.max(0, Math.floor((-left - height) / 8) * 8);
    for (let i = begin - height; i < Math.min(width, begin + 8000); i += 8) {
      g.moveTo(left + i, top + height);
      g.lineTo(left + i + height, top);
    }
    g.stroke();
    g.restore();
    g.strokeStyle = this.colours.gap;
    g.lineWidth = 1.5;
    g.strokeRect(left + 0.75, top + 0.75, Math.max(0, width - 1.5), height - 1.5);
  }

  #label(g, text, left, top) {
    g.font = '600 12px system-ui, sans-serif';
    g.fillStyle = this.colours.card;
    g.fillRect(left, top, g.measureText(text).width + 10, 18);
    g.fillStyle = this.colours.gap;
    g.fillText(text, left + 5, top + 13);
  }

  #axis(g, width, top, x) {
    const step = AXIS_STEPS_S.find((each) => (each * width) / this.span > 84) || AXIS_STEPS_S.at(-1);
    g.font = '12px system-ui, sans-serif';
    g.fillStyle = this.colours.dim;
    for (let i = Math.ceil(this.from / step); i * step <= this.from + this.span; i++) {
      const left = x(i * step);
      g.fillRect(left, top, 1, 6);
      if (left < width - 44) g.fillText(placeText(i * step, step < 1 ? 1 : 0), left + 4, top + 17);
    }
  }

  #drawOverview() {
    const {call, colours} = this;
    const {place} = this.state();
    const [g, width, height] = surface(this.overview);
    if (!this.still || this.still.width !== this.overview.width) {
      const lane = height / call.parties.length;
      g.fillStyle = colours.ground;
      g.fillRect(0, 0, width, height);
      call.parties.forEach((_, channel) => {
        this.#wave(g, channel, width, (channel + 0.5) * lane, lane / 2 - 1, 0, call.duration);
      });
      g.fillStyle = colours.gap;
      for (const gap of call.gaps) {
        for (const party of gap.parties) {
          g.fillRect((gap.start / call.duration) * width, party * lane,
            Math.max(2, (gap.seconds / call.duration) * width), lane);
        }
      }
      this.still = document.createElement('canvas');
      this.still.width = this.overview.width;
      this.still.height = this.overview.height;
      this.still.getContext('2d').drawImage(this.overview, 0, 0);
    }
    g.drawImage(this.still, 0, 0, width, height);
    if (this.span < call.duration) {
      const left = (this.from / call.duration) * width;
      const right = ((this.from + this.span) / call.duration) * width;
      g.globalAlpha = 0.6;
      g.fillStyle = colours.card;
      g.fillRect(0, 0, left, height);
      g.fillRect(right, 0, width - right, height);
      g.globalAlpha = 1;
      g.strokeStyle = colours.ink;
      g.lineWidth = 2;
      g.strokeRect(left + 1, 1, Math.max(2, right - left - 2), height - 2);
    }
    g.fillStyle = colours.ink;
    g.fillRect((place / call.duration) * width - 1, 0, 2, height);
  }
}

/** The context of a canvas at the screen's own resolution, and its size in CSS pixels. */
function surface(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const g = canvas.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [g, canvas.clientWidth, canvas.clientHeight];
}
