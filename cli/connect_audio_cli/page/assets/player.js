// The page: header, player, keys, figures, gaps, downloads.
'use strict';

const byId = (id) => document.getElementById(id);
const BEFORE_GAP_S = 1; // a gap is heard with the second before it
const JUMP_S = 5;
const PLAY_PATH = 'M7 4l13 8-13 8z';
const PAUSE_PATH = 'M6 4h4v16H6zM14 4h4v16h-4z';

/** An element with properties, attributes and children. Texts are nodes: no text of a call ever becomes markup. */
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function say(text) {
  byId('said').textContent = text;
}

function showHeader(call) {
  const {begins} = call;
  if (begins !== null) {
    byId('title').textContent = `Call of ${clockText(begins, 'date')}, ${clockText(begins, 'time')}`;
    const utc = `${clockText(begins, 'date', 'UTC')} ${clockText(begins, 'time', 'UTC')} UTC`;
    byId('when').textContent = isUtc(begins) ? 'UTC' : `${zoneText(begins)} · ${utc}`;
  }
  byId('facts').textContent = [lengthText(call.duration), `${call.rate} Hz`].join(' · ');
  if (call.contactId) byId('contact').append('Contact ', element('code', {}, call.contactId));
  byId('status').textContent = call.statusText;
  byId('status').className = `status ${call.status || 'unknown'}`;
  for (const reason of call.reasons) byId('reasons').append(element('li', {}, reason));
  byId('why').hidden = !call.reasons.length;
}

function showFigures(call) {
  const rows = [
    ...call.parties.map((name, channel) => [name, call.figures.talk[channel], `party${channel}`]),
    ...(call.parties.length > 1 ? [['Both at once', call.figures.overlap, 'ink']] : []),
    ['Silence', call.figures.silence, 'dim'],
  ];
  for (const [name, seconds, colour] of rows) {
    const share = call.duration ? seconds / call.duration : 0;
    const bar = element('i', {className: colour});
    bar.setAttribute('aria-hidden', 'true');
    bar.style.setProperty('--share', share.toFixed(4));
    byId('figures').append(element('div', {}, element('dt', {}, name),
      element('dd', {}, bar, `${placeText(Math.round(seconds))} · ${Math.round(share * 100)} %`)));
  }
}

class Player {
  constructor(call, separable) {
    this.call = call;
    this.hover = null;
    this.frame = null;
    this.linkTimer = null;
    this.sound = new Sound(call, separable, (what) => this.#changed(what));
    this.waves = new Waves(call, byId('lanes'), byId('overview'), () => ({
      place: this.sound.place,
      hover: this.hover,
      gains: call.parties.map((_, channel) => this.sound.gainOf(channel)),
    }));
    this.transcript = call.turns.length
      ? new Transcript(call, byId('words'), (seconds) => this.playFrom(seconds), say) : null;
    byId('duration').textContent = placeText(call.duration, 1);
    byId('slider').setAttribute('aria-valuemax', Math.round(call.duration));
    this.#bar();
    this.#parties();
    this.#gaps();
    this.#words();
    this.#pointer();
    this.#downloads();
    addEventListener('keydown', (event) => this.#key(event));
    addEventListener('hashchange', () => this.#followLink());
    new ResizeObserver(() => this.draw()).observe(byId('slider'));
    const recolour = () => {
      this.waves.readColours();
      this.draw();
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
    matchMedia('(forced-colors: active)').addEventListener('change', recolour);
    for (const name of ['beforeprint', 'afterprint']) {
      addEventListener(name, () => {
        document.documentElement.classList.toggle('on-paper', name === 'beforeprint');
        recolour();
        this.#render();
      });
    }
    this.#followLink();
    this.draw();
  }

  /** Takes the audio, which stands behind everything else on the page: the page is drawn before it has come. */
  load(source) {
    this.sound.load(source);
    byId('downloads').firstElementChild.href = source;
  }

  async playFrom(seconds) {
    this.seek(seconds);
    await this.sound.play();
  }

  toggle() {
    if (this.sound.playing) this.sound.pause();
    else this.sound.play();
  }

  seek(seconds) {
    this.sound.seek(seconds);
    this.waves.follow(this.sound.place, true);
    this.#writeLink();
    this.draw();
  }

  nextGap() {
    const {gaps} = this.call;
    if (!gaps.length) return;
    const gap = gaps.find((each) => each.start > this.sound.place + BEFORE_GAP_S + 0.05) || gaps[0];
    this.seek(gap.start - BEFORE_GAP_S);
    say(`Gap at ${placeText(gap.start)}, ${lengthText(gap.seconds)}, ${gapWho(this.call, gap)}: ${gap.cause}`);
  }

  zoom(factor, place = this.sound.place) {
    this.waves.zoom(factor, place);
    this.draw();
  }

  /** Draws with the next frame of the screen; goes on by itself while the call plays. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.sound.playing) this.draw();
      this.sound.skip();
      if (this.sound.playing) this.waves.follow(this.sound.place, false);
      this.#render();
    });
  }

  #render() {
    const {call, sound} = this;
    const {place} = sound;
    this.waves.draw();
    byId('now').textContent = placeText(place, 1);
    if (call.begins !== null) {
      const ms = call.begins + place * 1000;
      const utc = `${clockText(ms, 'time', 'UTC')} UTC`;
      byId('clock').textContent = isUtc(ms) ? utc : `${clockText(ms, 'time')} · ${utc}`;
    }
    const slider = byId('slider');
    const gap = gapAt(call, place);
    slider.setAttribute('aria-valuenow', Math.round(place));
    slider.setAttribute('aria-valuetext', `${placeText(place)} of ${placeText(call.duration)}, ${
      gap ? `gap, ${gapWho(call, gap)}: ${gap.cause}` : speakersAt(call, place)}`);
    if (this.transcript) this.transcript.mark(place, sound.playing);
  }

  #changed(what) {
    if (what === 'error') this.#note('This browser cannot read the audio. It may lie elsewhere than when the page was made.');
    if (what === 'pause' || what === 'ended') this.#writeLink();
    const {playing} = this.sound;
    byId('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
    byId('play').querySelector('path').setAttribute('d', playing ? PAUSE_PATH : PLAY_PATH);
    this.draw();
  }

  #note(text) {
    byId('note').textContent = text;
    byId('note').hidden = false;
  }

  /** Writes the place into the address, late, since browsers refuse many changes in a short time. */
  #writeLink() {
    clearTimeout(this.linkTimer);
    this.linkTimer = setTimeout(() => {
      history.replaceState(null, '', `#t=${Math.round(this.sound.place * 10) / 10}`);
    }, 250);
  }

  #followLink() {
    const given = /[#&]t=([\d.:]+)/.exec(location.hash);
    const seconds = given && placeSeconds(given[1]);
    if (seconds !== null) this.seek(seconds);
  }

  #bar() {
    byId('play').addEventListener('click', () => this.toggle());
    byId('back').addEventListener('click', () => this.seek(this.sound.place - JUMP_S));
    byId('forward').addEventListener('click', () => this.seek(this.sound.place + JUMP_S));
    byId('speed').addEventListener('change', (event) => this.sound.setSpeed(Number(event.target.value)));
    byId('skip').addEventListener('change', (event) => {
      this.sound.skipsSilence = event.target.checked;
    });
    byId('ears').addEventListener('change', (event) => this.sound.setBothEars(event.target.checked));
    byId('zoom-in').addEventListener('click', () => this.zoom(0.5));
    byId('zoom-out').addEventListener('click', () => this.zoom(2));
    byId('zoom-fit').addEventListener('click', () => this.zoom(Infinity));
  }

  #parties() {
    const {call, sound} = this;
    byId('stage').classList.toggle('one', call.parties.length === 1);
    call.parties.forEach((name, channel) => {
      const set = (list, button, word) => {
        list[channel] = !list[channel];
        button.setAttribute('aria-pressed', list[channel]);
        sound.applyLevels();
        say(`${name}: ${list[channel] ? word : `not ${word}`}`);
        this.draw();
      };
      const button = (text, list, word) => {
        const made = element('button', {type: 'button', disabled: !sound.separable}, text);
        made.setAttribute('aria-pressed', 'false');
        made.setAttribute('aria-label', `${text} ${name.toLowerCase()}`);
        made.addEventListener('click', () => set(list, made, word));
        return made;
      };
      const volume = element('input', {type: 'range', min: 0, max: 200, value: 100, disabled: !sound.separable});
      volume.setAttribute('aria-label', `Volume of ${name.toLowerCase()}, per cent`);
      volume.addEventListener('input', () => {
        sound.volume[channel] = volume.value / 100;
        sound.applyLevels();
        this.draw();
      });
      const buttons = element('div', {className: 'pair'}, button('Mute', sound.muted, 'muted'));
      if (call.parties.length > 1) buttons.append(button('Solo', sound.solo, 'alone'));
      const head = element('div', {className: 'name'}, element('b', {className: `party${channel}`}, name));
      if (call.parties.length > 1) head.append(element('small', {}, channel ? 'right' : 'left'));
      byId('parties').append(element('div', {className: 'party'}, head, buttons, volume));
    });
    byId('both-ears').hidden = call.parties.length < 2;
    if (!sound.separable) {
      byId('ears').disabled = true;
      this.#note('The audio lies beside this page. A browser plays such a file only as it is: to mute one party, make '
        + 'the page with its audio inside, or open the folder with connect-audio serve.');
    }
  }

  #gaps() {
    const {call} = this;
    byId('next-gap').hidden = !call.gaps.length;
    byId('next-gap').addEventListener('click', () => this.nextGap());
    byId('gap-sum').textContent = call.gapSummary;
    for (const gap of call.gaps) {
      const head = `${placeText(gap.start, 1)} · ${lengthText(gap.seconds)} · ${gapWho(call, gap)}`;
      const button = element('button', {type: 'button'}, head, element('small', {}, gap.cause));
      button.addEventListener('click', () => this.seek(gap.start - BEFORE_GAP_S));
      byId('gaps').append(element('li', {}, button));
    }
    byId('gaps').hidden = !call.gaps.length;
  }

  #words() {
    if (!this.transcript) {
      byId('find').hidden = true;
      byId('words').replaceWith(element('p', {className: 'dim'}, 'No transcript lies beside this recording.'));
      return;
    }
    byId('find').addEventListener('input', (event) => {
      const count = this.transcript.search(event.target.value);
      byId('hits').textContent = event.target.value.trim().length > 1 ? `${count} ${count === 1 ? 'hit' : 'hits'}` : '';
    });
    byId('find').addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.transcript.playHit(this.sound.place);
    });
  }

  #pointer() {
    const slider = byId('slider');
    const tip = byId('tip');
    let drags = false;
    slider.addEventListener('pointerdown', (event) => {
      if (event.button) return;
      drags = true;
      slider.setPointerCapture(event.pointerId);
      this.seek(this.waves.placeAt(event.clientX));
    });
    for (const name of ['pointerup', 'pointercancel']) {
      slider.addEventListener(name, () => {
        drags = false;
      });
    }
    slider.addEventListener('pointermove', (event) => {
      this.hover = Math.min(this.call.duration, Math.max(0, this.waves.placeAt(event.clientX)));
      if (drags) this.seek(this.hover);
      const gap = gapAt(this.call, this.hover);
      tip.textContent = placeText(this.hover, 1) + (gap ? `, ${gap.cause}` : '');
      tip.hidden = false;
      const box = slider.getBoundingClientRect();
      tip.style.left = `${Math.min(box.width - tip.offsetWidth, Math.max(0, event.clientX - box.left + 10))}px`;
      this.draw();
    });
    slider.addEventListener('pointerleave', () => {
      this.hover = null;
      tip.hidden = true;
      this.draw();
    });
    slider.addEventListener('wheel', (event) => {
      const {waves} = this;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        this.zoom(Math.exp(event.deltaY * 0.004), waves.placeAt(event.clientX));
      } else if (waves.span < this.call.duration && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        waves.view(waves.from + (event.deltaX / slider.clientWidth) * waves.span, waves.span);
        this.draw();
      }
    }, {passive: false});
    const overview = byId('overview');
    const move = (event) => {
      const box = overview.getBoundingClientRect();
      const seconds = ((event.clientX - box.left) / box.width) * this.call.duration;
      if (this.waves.span < this.call.duration) {
        this.waves.view(seconds - this.waves.span / 2, this.waves.span);
        this.draw();
      } else {
        this.seek(seconds);
      }
    };
    overview.addEventListener('pointerdown', (event) => {
      overview.setPointerCapture(event.pointerId);
      move(event);
    });
    overview.addEventListener('pointermove', (event) => {
      if (overview.hasPointerCapture(event.pointerId)) move(event);
    });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const {target, key} = event;
    const types = target.matches('input[type=search], select');
    if (types) {
      if (key === 'Escape') target.blur();
      return;
    }
    const slides = target.matches('input[type=range]');
    const presses = target.matches('button, input, summary, a');
    const jump = event.shiftKey ? 1 : JUMP_S;
    const actions = {
      k: () => this.toggle(),
      g: () => this.nextGap(),
      1: () => this.#pressParty(0),
      2: () => this.#pressParty(1),
      '+': () => this.zoom(0.5),
      '=': () => this.zoom(0.5),
      '-': () => this.zoom(2),
      0: () => this.zoom(Infinity),
      '/': () => byId('find').focus(),
      ...(presses ? {} : {' ': () => this.toggle()}),
      ...(slides ? {} : {
        ArrowLeft: () => this.seek(this.sound.place - jump),
        ArrowRight: () => this.seek(this.sound.place + jump),
        Home: () => this.seek(0),
        End: () => this.seek(this.call.duration),
        ...(target === byId('slider') ? {
          ArrowDown: () => this.seek(this.sound.place - 1),
          ArrowUp: () => this.seek(this.sound.place + 1),
          PageDown: () => this.seek(this.sound.place - 30),
          PageUp: () => this.seek(this.sound.place + 30),
        } : {}),
      }),
    };
    const action = actions[key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #pressParty(channel) {
    const button = byId('parties').children[channel]?.querySelector('button');
    if (button) button.click();
  }

  #downloads() {
    const {call} = this;
    const offer = (text, file, address) => {
      byId('downloads').append(element('a', {href: address, download: file}, text));
    };
    const own = (parts, type) => URL.createObjectURL(new Blob(parts, {type}));
    offer(call.audio.format, call.audio.name, call.audio.source || '#');
    if (call.manifest) {
      offer('Manifest', `${call.name}.json`, own([JSON.stringify(call.manifest, null, 1)], 'application/json'));
    }
    if (this.transcript) offer('Words', `${call.name}.vtt`, own([this.transcript.vtt()], 'text/vtt'));
  }
}

function openPage() {
  const call = readCall(JSON.parse(byId('call').textContent));
  const {audio} = call;
  const embedded = audio.kind === 'embedded';
  showHeader(call);
  showFigures(call);
  const player = new Player(call, embedded || location.protocol !== 'file:');
  // For the console: a call is looked into by program, too.
  window.connectAudio = {call, player, sound: player.sound, readyMs: performance.now()};
  if (!embedded) {
    player.load(audio.source);
    return;
  }
  document.addEventListener('DOMContentLoaded', () => {
    const blob = new Blob([bytesOf(byId('audio').textContent)], {type: audio.mime});
    byId('audio').remove();
    player.load(URL.createObjectURL(blob));
    window.connectAudio.loadedMs = performance.now();
  });
}

openPage();
