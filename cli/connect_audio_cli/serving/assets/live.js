// A call that is going on, followed by its segments' index.
'use strict';

const byId = (id) => document.getElementById(id);
const POLL_MS = 500;
const FLOOR_DB = -60;
const SHOWN = 120; // segments of the picture
const MOST_LAG_S = 600; // a longer one is a replay of an old call, whose clock tells no lag
const {folder} = JSON.parse(byId('data').textContent);
const address = folder.split('/').map(encodeURIComponent).join('/');
const shown = []; // {number, start, seconds, levels}

let head = null;
let next = 0; // number of the next segment
let sound = null;
let nextSound = 0;
let starts = 0; // counts the starts of the sound, so that a newer one or a stop ends the one that is under way
let queue = Promise.resolve();
let recording = null; // address of the recording's page, once the call is over

async function answer(path, type = 'json') {
  const response = await fetch(path, {cache: 'no-store'});
  if (!response.ok) throw new Error((await response.text()).trim());
  return response[type]();
}

/** Reads what is new, shows it, and lets it sound if somebody listens. */
async function look() {
  try {
    const found = await answer(`/api/live/${address}?from=${next}`);
    head = found;
    for (const segment of found.segments) {
      shown.push(segment);
      next = segment.number + 1;
    }
    show();
    play();
    if (found.state === 'ended' && !found.segments.length) {
      await ended();
      return;
    }
  } catch (error) {
    byId('said').textContent = `The index cannot be read: ${error.message}`;
  }
  setTimeout(look, POLL_MS);
}

/** Hands the segments that have not sounded yet to the sound, in order. */
function play() {
  if (!sound) return;
  const mine = sound;
  for (const segment of shown) {
    if (segment.number < nextSound) continue;
    nextSound = segment.number + 1;
    queue = queue.then(async () => {
      if (mine !== sound) return;
      const files = await Promise.all(segment.files.map((name) => answer(`/files/${address}/${name}`, 'arrayBuffer')));
      if (mine === sound) await mine.add(segment.startSeconds, files);
    }).catch((error) => {
      byId('said').textContent = `A segment cannot be played: ${error.message}`;
    });
  }
}

async function listen(fromBeginning) {
  const start = ++starts;
  const old = sound;
  sound = null;
  if (old) await old.close();
  byId('listen').textContent = 'Listen';
  byId('listen').setAttribute('aria-pressed', 'false');
  if (fromBeginning === null || !head || !head.sampleRate) return;
  const made = new LiveSound(head.sampleRate);
  await made.resume();
  if (start !== starts) {
    await made.close();
    return;
  }
  // Not before: a browser may take seconds to start its audio, and a look meanwhile would play the same segments, too.
  nextSound = fromBeginning ? 0 : Math.max(0, next - 1);
  sound = made;
  byId('listen').textContent = 'Stop';
  byId('listen').setAttribute('aria-pressed', 'true');
  play();
}

async function ended() {
  byId('state').textContent = 'Ended';
  byId('state').className = 'status unknown';
  const path = folder.replace(/\.segments$/, '');
  if (path !== folder) {
    const response = await fetch(`/files/${path.split('/').map(encodeURIComponent).join('/')}.wav`, {method: 'HEAD'});
    if (response.ok) recording = `/call/${path.split('/').map(encodeURIComponent).join('/')}`;
  }
  byId('said').textContent = 'The call is over. ';
  if (recording) {
    const link = document.createElement('a');
    link.href = recording;
    link.textContent = 'Open the recording.';
    byId('said').append(link);
  }
}

function levelText(level) {
  return level === null ? 'silence' : `${level.toFixed(0)} dBFS`;
}

function show() {
  byId('caller').textContent = head.contactId ? `Contact ${head.contactId}` : '';
  if (head.state === 'live') byId('state').textContent = 'Live';
  byId('count').textContent = shown.length;
  const newest = shown.at(-1);
  if (!newest) return;
  const end = newest.startSeconds + newest.durationSeconds;
  byId('now').textContent = placeText(end);
  byId('level0').textContent = levelText(newest.levels.customer);
  byId('level1').textContent = levelText(newest.levels.agent);
  if (head.startTime) {
    const ends = Date.parse(head.startTime) + end * 1000;
    byId('clock').textContent = `${clockText(ends, 'time')} · ${clockText(ends, 'time', 'UTC')} UTC`;
    const lag = (Date.now() - ends) / 1000;
    byId('lag').textContent = Math.abs(lag) < MOST_LAG_S ? `${lag.toFixed(1)} s` : 'unknown: the call is an old one';
  }
  draw();
}

/** A bar up for the customer and one down for the agent, a segment each. */
function draw() {
  const canvas = byId('levels');
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const g = canvas.getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const step = canvas.width / SHOWN;
  const middle = canvas.height / 2;
  const newest = shown.length ? shown.at(-1).number : 0;
  const share = (level) => (level === null ? 0 : Math.max(0.02, Math.min(1, 1 - level / FLOOR_DB)));
  for (const segment of shown.slice(-SHOWN)) {
    const left = canvas.width - (newest - segment.number + 1) * step;
    g.fillStyle = style.getPropertyValue('--party0');
    g.fillRect(left, middle - 1, step * 0.8, -share(segment.levels.customer) * (middle - 4));
    g.fillStyle = style.getPropertyValue('--party1');
    g.fillRect(left, middle + 1, step * 0.8, share(segment.levels.agent) * (middle - 4));
  }
}

setInterval(() => {
  const place = sound && sound.place;
  const newest = shown.at(-1);
  const sounds = place !== null && place !== undefined && place !== false;
  const isOver = sounds && head.state === 'ended' && place > newest.startSeconds + newest.durationSeconds;
  byId('behind').textContent = sounds && newest && !isOver
    ? `${Math.max(0, newest.startSeconds + newest.durationSeconds - place).toFixed(1)} s` : 'not listening';
}, 250);
byId('listen').addEventListener('click', () => listen(sound ? null : false));
byId('beginning').addEventListener('click', () => listen(true));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
window.connectAudio = {shown, sound: () => sound, head: () => head};
look();
