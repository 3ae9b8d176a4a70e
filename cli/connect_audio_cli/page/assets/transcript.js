// The words: paragraphs with their times, a click or Enter plays from a word, and search.
'use strict';

const MANY_TURNS = 300; // from here on the browser lays out only the paragraphs that are in view
const BEFORE_WORD_S = 0.05; // a word's first sound lies a little before its time

class Transcript {
  /** `playFrom(seconds)` plays, `say(text)` speaks to a screen reader. */
  constructor(call, list, playFrom, say) {
    this.call = call;
    this.list = list;
    this.playFrom = playFrom;
    this.say = say;
    this.words = []; // {start, end, span, paragraph, text}
    this.current = -1;
    this.cursor = -1;
    this.hits = [];
    this.buttons = call.turns.map((turn, index) => this.#paragraph(turn, index));
    list.classList.toggle('many', call.turns.length > MANY_TURNS);
    list.addEventListener('click', (event) => this.#click(event));
    list.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Adds a paragraph. All of them are one stop of the tab key: arrow keys go from one to the next. */
  #paragraph(turn, index) {
    const button = element('button', {type: 'button', className: 'time', tabIndex: index ? -1 : 0},
      placeText(turn.start));
    button.setAttribute('aria-label', `${placeText(turn.start)}, ${this.call.parties[turn.party]}: play from here`);
    const text = element('p', {});
    for (const [start, length, word] of turn.words) {
      const span = element('span', {className: 'word'}, word);
      span.dataset.word = this.words.length;
      text.append(span, ' ');
      this.words.push({start, end: start + length, span, paragraph: index, text: word.toLowerCase()});
    }
    const name = element('b', {className: `party${turn.party}`}, this.call.parties[turn.party]);
    this.list.append(element('li', {}, button, element('div', {}, name, text)));
    return button;
  }

  /** Marks the word at a place, and follows it while it plays. */
  mark(seconds, follows) {
    let index = firstBehind(this.words, seconds, (word) => word.start) - 1;
    if (index >= 0 && seconds > this.words[index].end + 0.4) index = -1;
    if (index === this.current) return;
    if (this.current >= 0) this.words[this.current].span.classList.remove('now');
    if (index >= 0) {
      this.words[index].span.classList.add('now');
      if (follows && !this.list.contains(document.activeElement)) this.#show(this.words[index].span);
    }
    this.current = index;
  }

  /** Marks every word that a search finds. Several words find themselves in a row. Returns how many times. */
  search(text) {
    for (const hit of this.hits) for (const word of hit) word.span.classList.remove('hit');
    const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
    this.hits = [];
    if (wanted.join('').length > 1) {
      for (let i = 0; i + wanted.length <= this.words.length; i++) {
        const run = this.words.slice(i, i + wanted.length);
        if (run.every((word, at) => word.text.includes(wanted[at]))) this.hits.push(run);
      }
    }
    for (const hit of this.hits) for (const word of hit) word.span.classList.add('hit');
    if (this.hits.length) this.#show(this.hits[0][0].span);
    return this.hits.length;
  }

  /** Plays the hit behind a place, the first one behind the last. */
  playHit(seconds) {
    if (!this.hits.length) return;
    const index = Math.max(0, this.hits.findIndex((hit) => hit[0].start > seconds + 0.2));
    this.playFrom(this.hits[index][0].start - BEFORE_WORD_S);
    this.#show(this.hits[index][0].span);
    this.say(`Hit ${index + 1} of ${this.hits.length}, at ${placeText(this.hits[index][0].start)}`);
  }

  /** The words as WebVTT, one cue a paragraph. */
  vtt() {
    const time = (seconds) => {
      const ms = Math.round(seconds * 1000);
      const part = (value, digits) => String(Math.floor(value)).padStart(digits, '0');
      return `${part(ms / 3600000, 2)}:${part((ms / 60000) % 60, 2)}:${part((ms / 1000) % 60, 2)}.${part(ms % 1000, 3)}`;
    };
    const safe = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    const cues = this.call.turns.map((turn) => {
      const [start, length] = turn.words.at(-1);
      const words = safe(turn.words.map((word) => word[2]).join(' '));
      return `${time(turn.start)} --> ${time(start + length)}\n<v ${this.call.parties[turn.party]}>${words}\n`;
    });
    return `WEBVTT\n\n${cues.join('\n')}`;
  }

  #click(event) {
    const word = event.target.closest('.word');
    const button = event.target.closest('.time');
    if (word) this.playFrom(this.words[word.dataset.word].start - BEFORE_WORD_S);
    else if (button) this.playFrom(this.call.turns[this.buttons.indexOf(button)].start - BEFORE_WORD_S);
  }

  #key(event) {
    const at = this.buttons.indexOf(event.target);
    if (at < 0) return;
    const {key} = event;
    if (key === 'ArrowDown' || key === 'ArrowUp' || key === 'Home' || key === 'End') {
      const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.buttons.length - 1}[key];
      this.#focus(Math.min(this.buttons.length - 1, Math.max(0, to)));
    } else if (key === 'ArrowRight' || key === 'ArrowLeft') {
      this.#moveCursor(at, key === 'ArrowRight' ? 1 : -1);
    } else if (key === 'Enter' && this.cursor >= 0) {
      this.playFrom(this.words[this.cursor].start - BEFORE_WORD_S);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #focus(index) {
    this.#setCursor(-1);
    for (const button of this.buttons) button.tabIndex = -1;
    this.buttons[index].tabIndex = 0;
    this.buttons[index].focus();
  }

  /** Goes to the next or the last word of a paragraph. */
  #moveCursor(paragraph, step) {
    const first = this.words.findIndex((word) => word.paragraph === paragraph);
    const last = first + this.call.turns[paragraph].words.length - 1;
    const from = this.cursor < first || this.cursor > last ? first - 1 : this.cursor;
    this.#setCursor(Math.min(last, Math.max(first, from + step)));
    this.say(this.words[this.cursor].span.textContent);
  }

  #setCursor(index) {
    if (this.cursor >= 0) this.words[this.cursor].span.classList.remove('cursor');
    if (index >= 0) this.words[index].span.classList.add('cursor');
    this.cursor = index;
  }

  #show(span) {
    const box = this.list.getBoundingClientRect();
    const at = span.getBoundingClientRect();
    if (at.top < box.top || at.bottom > box.bottom) this.list.scrollTop += at.top - box.top - box.height / 3;
  }
}
