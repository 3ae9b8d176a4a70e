// The call as the page carries it: peaks of each channel, gaps, speech, turns.
'use strict';

/** The bytes of a base64 text. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Levels of maxima: each holds the maximum of four values of the level before. A view of hours costs what seconds do. */
function pyramidOf(peaks) {
  const levels = [peaks];
  while (levels.at(-1).length > 2000) {
    const below = levels.at(-1);
    const level = new Uint8Array(Math.ceil(below.length / 4));
    for (let i = 0; i < below.length; i++) {
      if (below[i] > level[i >> 2]) level[i >> 2] = below[i];
    }
    levels.push(level);
  }
  return levels;
}

/** The maximum, 0 to 255, between two places that are counted in buckets; read off the coarsest level that is fine enough. */
function peakBetween(pyramid, from, to) {
  let level = 0;
  while (level + 1 < pyramid.length && 4 ** (level + 1) <= to - from) level++;
  const values = pyramid[level];
  const scale = 4 ** level;
  const first = Math.floor(from / scale);
  const stop = Math.min(values.length, Math.max(first + 1, Math.floor(to / scale)));
  let peak = 0;
  for (let i = first; i < stop; i++) if (values[i] > peak) peak = values[i];
  return peak;
}

/** Height of each peak, 0 to 1: noise stays a line, speech is lifted so that quiet words show. */
function heightsAbove(noise) {
  const floor = Math.min(noise, 64);
  return Float32Array.from({length: 256}, (_, peak) => {
    if (peak <= floor) return peak / 255;
    return floor / 255 + (1 - floor / 255) * ((peak - floor) / (255 - floor)) ** 0.6;
  });
}

/** Stretches of at least a second in which no party speaks. */
function silencesOf(talk, duration) {
  const silences = [];
  let at = 0;
  for (const [start, end] of talk.flat().sort((a, b) => a[0] - b[0])) {
    if (start - at >= 1) silences.push([at, start]);
    at = Math.max(at, end);
  }
  if (duration - at >= 1) silences.push([at, duration]);
  return silences;
}

/** The first item of a sorted list whose end lies behind a place; its index, or the list's length. */
function firstBehind(list, seconds, endOf) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endOf(list[middle]) > seconds) high = middle;
    else low = middle + 1;
  }
  return low;
}

function readCall(data) {
  const peaks = data.peaks.map(bytesOf);
  return {
    ...data,
    begins: data.startTime === null ? null : Date.parse(data.startTime),
    bucketsPerSecond: data.rate / data.bucketFrames,
    pyramids: peaks.map(pyramidOf),
    heights: data.noise.map(heightsAbove),
    silences: silencesOf(data.talk, data.duration),
  };
}

/** The gap at a place, or undefined. */
function gapAt(call, seconds) {
  return call.gaps.find((gap) => seconds >= gap.start && seconds < gap.start + gap.seconds);
}

/** A sentence of who speaks at a place. */
function speakersAt(call, seconds) {
  const speaking = call.parties.filter((_, channel) => {
    const talk = call.talk[channel];
    const next = talk[firstBehind(talk, seconds, (stretch) => stretch[1])];
    return next !== undefined && next[0] <= seconds;
  });
  if (speaking.length === 2) return 'both speak';
  return speaking.length ? `${speaking[0].toLowerCase()} speaks` : 'silence';
}

function gapWho(call, gap) {
  return gap.parties.length === call.parties.length ? 'both parties' : call.parties[gap.parties[0]].toLowerCase();
}
