// What is heard: an <audio> element streams, Web Audio takes its channels apart.
'use strict';

const RAMP_S = 0.02; // a change of volume without a click; an exponential one would never reach 0

class Sound {
  /**
   * `separable` says that each party can be had alone: a file beside a page from the disk is another origin, and
   * browsers give silence for it through Web Audio.
   */
  constructor(call, separable, changed) {
    this.call = call;
    this.separable = separable;
    this.changed = changed;
    this.element = new Audio();
    this.element.preload = 'auto';
    this.element.preservesPitch = true;
    this.loaded = new Promise((done) => {
      this.setLoaded = done;
    });
    this.muted = call.parties.map(() => false);
    this.solo = call.parties.map(() => false);
    this.volume = call.parties.map(() => 1);
    this.bothEars = call.parties.length === 1;
    this.skipsSilence = false;
    this.context = null;
    this.output = null;
    for (const name of ['play', 'pause', 'ended', 'seeked', 'loadedmetadata', 'error']) {
      this.element.addEventListener(name, () => changed(name));
    }
  }

  /** Takes the address of the audio. A place that was sought before is kept: the element begins there. */
  load(source) {
    this.element.src = source;
    this.setLoaded();
  }

  get place() {
    return this.element.currentTime;
  }

  get playing() {
    return !this.element.paused && !this.element.ended;
  }

  async play() {
    this.#connect();
    await this.loaded;
    if (this.context && this.context.state !== 'running') await this.context.resume();
    await this.element.play();
  }

  pause() {
    this.element.pause();
  }

  seek(seconds) {
    this.element.currentTime = Math.min(this.call.duration, Math.max(0, seconds));
  }

  setSpeed(factor) {
    this.element.playbackRate = factor;
  }

  /** How loud a channel is heard, 0 to 2. */
  gainOf(channel) {
    const others = this.solo.some(Boolean) && !this.solo[channel];
    return this.muted[channel] || others ? 0 : this.volume[channel];
  }

  /** Applies what was set in `muted`, `solo` and `volume`. */
  applyLevels() {
    if (!this.context) return;
    const now = this.context.currentTime;
    this.gains.forEach((node, channel) => {
      node.gain.cancelScheduledValues(now);
      node.gain.setValueAtTime(node.gain.value, now);
      node.gain.linearRampToValueAtTime(this.gainOf(channel), now + RAMP_S);
    });
  }

  setBothEars(on) {
    this.bothEars = on;
    this.#wire();
  }

  /** Jumps over silence that plays. */
  skip() {
    if (!this.skipsSilence || !this.playing) return;
    const {silences} = this.call;
    const next = silences[firstBehind(silences, this.place, (stretch) => stretch[1])];
    if (next && this.place > next[0] + 0.3 && this.place < next[1] - 0.4) this.seek(next[1] - 0.2);
  }

  /** The graph is made with the first play: before a gesture a context is suspended, and nothing would come out. */
  #connect() {
    if (this.context || !this.separable) return;
    this.context = new AudioContext({sampleRate: this.call.rate});
    const splitter = this.context.createChannelSplitter(2);
    this.output = this.context.createChannelMerger(2);
    this.gains = this.call.parties.map((_, channel) => {
      const gain = this.context.createGain();
      gain.gain.value = this.gainOf(channel);
      splitter.connect(gain, channel);
      return gain;
    });
    this.context.createMediaElementSource(this.element).connect(splitter);
    this.output.connect(this.context.destination);
    this.#wire();
  }

  #wire() {
    if (!this.context) return;
    this.gains.forEach((gain, channel) => {
      gain.disconnect();
      gain.connect(this.output, 0, channel);
      if (this.bothEars) gain.connect(this.output, 0, 1 - channel);
    });
  }
}
