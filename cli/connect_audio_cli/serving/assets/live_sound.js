// Plays segments one after the other: each sample once, at its own place, without a seam.
'use strict';

const AHEAD_S = 1.5; // seconds between a segment's arrival and its sound: what a slow answer may take

class LiveSound {
  /** `rate` is the segments' own: at another one each would be resampled by itself, and seams would click. */
  constructor(rate) {
    this.context = new AudioContext({sampleRate: rate});
    this.output = this.context.createGain();
    this.output.connect(this.context.destination);
    this.rate = rate;
    this.zero = null; // time of the context at which the call's first sample would sound
    this.late = 0; // how often a segment came too late, so that everything behind it moved
    this.end = 0;
  }

  async resume() {
    await this.context.resume();
  }

  close() {
    return this.context.close();
  }

  /** The place that sounds now, seconds; null before the first sound. */
  get place() {
    return this.zero === null ? null : this.context.currentTime - this.zero;
  }

  /** Plays a segment at its place. `files` are its WAVs: one stereo, or one of each party. */
  async add(startSeconds, files) {
    const decoded = await Promise.all(files.map((file) => this.context.decodeAudioData(file)));
    let buffer = decoded[0];
    if (decoded.length > 1) {
      buffer = this.context.createBuffer(decoded.length, decoded[0].length, this.rate);
      decoded.forEach((each, channel) => buffer.copyToChannel(each.getChannelData(0), channel));
    }
    const now = this.context.currentTime;
    if (this.zero === null || this.zero + startSeconds < now) {
      if (this.zero !== null) this.late += 1;
      // On a sample of the context, so that the next segment follows without a seam.
      this.zero = Math.ceil((now + AHEAD_S - startSeconds) * this.rate) / this.rate;
    }
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.output);
    source.start(Math.round((this.zero + startSeconds) * this.rate) / this.rate);
    this.end = startSeconds + buffer.duration;
  }
}
