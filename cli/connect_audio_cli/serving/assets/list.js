// The list of recordings. Names come at once; manifests are asked for in small groups, the newest first. So are the words.
'use strict';

const byId = (id) => document.getElementById(id);
const FACTS_AT_ONCE = 40; // recordings of one question
const WORDS_AT_ONCE = 10; // the same for words: a transcript is larger than a manifest
const LEAST_WORDS = 2; // characters that are looked for: one is in every call
const TYPING_MS = 300; // pause of the typing after which words are looked for
const LOOK_MS = 5000; // between two looks at calls that are going on
const STATUS = {complete: 'Whole', partial: 'Not whole', empty: 'Nothing recorded', live: 'Live', segments: 'Segments alone'};
const {place} = JSON.parse(byId('data').textContent);
let recordings = [];
let more = false;
let asked = 0; // counts the looks, so that answers to an older one are dropped
let wordsAsked = 0; // counts the questions for words, as above
let found = null; // by path what was found of the words, null where it was not looked for; null without a question
let unreadable = 0; // transcripts that cannot be read
let typing = 0;
let isPressed = false; // the pointer is down on a row
let isLate = false; // the list is to be drawn once it is up

async function answer(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

function row(each) {
  const facts = each.facts || {};
  const start = facts.startTime || each.startTime;
  const when = start ? `${clockText(Date.parse(start), 'date')} ${clockText(Date.parse(start), 'time')}` : 'unknown';
  const address = facts.status === 'live' || !each.hasPage ? each.segments && `/live/${encode(each.segments)}` : `/call/${encode(each.path)}`;
  const name = document.createElement(address ? 'a' : 'span');
  if (address) name.href = address;
  name.textContent = facts.contactId || each.name;
  const status = document.createElement('span');
  status.textContent = STATUS[facts.status] || (each.hasManifest ? '…' : 'No manifest');
  status.className = `status ${facts.status || 'unknown'}`;
  const line = document.createElement('tr');
  const cells = [when, name, facts.durationSeconds ? lengthText(facts.durationSeconds) : '', status,
    (facts.reasons || []).join(', ').toLowerCase().replaceAll('_', ' ')];
  for (const cell of cells) {
    const made = document.createElement('td');
    made.append(cell);
    line.append(made);
  }
  if (start) line.title = new Date(start).toISOString();
  return line;
}

/** The places of a call at which the words are said, each with a link that leads there. */
function hitsRow(each) {
  const list = document.createElement('ul');
  const {count, hits} = found.get(each.path);
  for (const hit of hits) {
    const link = document.createElement('a');
    link.href = `/call/${encode(each.path)}#t=${hit.start}`;
    link.textContent = placeText(hit.start);
    const mark = document.createElement('mark');
    mark.textContent = hit.found;
    const item = document.createElement('li');
    item.append(link, ` ${hit.participant === 'agent' ? 'Agent' : 'Customer'}: ${hit.before}`, mark, hit.after);
    list.append(item);
  }
  if (count > hits.length) {
    const item = document.createElement('li');
    item.textContent = `and ${count - hits.length} more`;
    list.append(item);
  }
  const cell = document.createElement('td');
  cell.colSpan = 5;
  cell.append(list);
  const line = document.createElement('tr');
  line.className = 'hits';
  line.append(cell);
  return line;
}

function encode(path) {
  return path.split('/').map(encodeURIComponent).join('/');
}

function shown() {
  const text = byId('text').value.trim().toLowerCase();
  const status = byId('status').value;
  const [from, to] = [byId('from').value, byId('to').value];
  return recordings.filter((each) => {
    const facts = each.facts || {};
    const start = facts.startTime || each.startTime;
    const day = start ? clockText(Date.parse(start), 'date') : '';
    return (!found || found.get(each.path)) && (!text || `${each.path} ${facts.contactId || ''}`.toLowerCase().includes(text))
      && (!status || facts.status === status) && (!from || day >= from) && (!to || (day && day <= to));
  });
}

function draw() {
  if (isPressed) {
    isLate = true;
    return;
  }
  const begin = (each) => (each.facts && each.facts.startTime) || each.startTime || '';
  recordings.sort((a, b) => begin(b).localeCompare(begin(a)) || b.path.localeCompare(a.path));
  const rows = shown();
  const focused = document.activeElement.closest('#rows a')?.href;
  byId('rows').replaceChildren(...rows.flatMap((each) => (found && each.hasPage ? [row(each), hitsRow(each)] : [row(each)])));
  if (focused) [...byId('rows').querySelectorAll('a')].find((each) => each.href === focused)?.focus();
  const unknown = recordings.filter((each) => each.facts === undefined).length;
  byId('count').textContent = [
    `${rows.length} of ${recordings.length} ${recordings.length === 1 ? 'recording' : 'recordings'}`,
    more && 'older ones are not listed: serve a narrower place to see them',
    unknown && `${unknown} manifests still to read`,
    ...saidText(rows),
  ].filter(Boolean).join('; ');
}

/** What is known of the words: how often they are said, and how much was not looked through. */
function saidText(rows) {
  if (!found) return [];
  const times = rows.reduce((sum, each) => sum + found.get(each.path).count, 0);
  const left = recordings.filter((each) => each.hasWords && !found.has(each.path)).length;
  const without = recordings.filter((each) => !each.hasWords).length;
  return [
    `said ${times} ${times === 1 ? 'time' : 'times'}`,
    left && `${left} still to search`,
    without && `${without} without a transcript`,
    unreadable && `${unreadable} with a transcript that cannot be read`,
  ];
}

/** Looks for the words in all calls, the newest first. */
async function readWords() {
  const look = ++wordsAsked;
  const text = byId('said').value.trim();
  unreadable = 0;
  if (text.length < LEAST_WORDS) {
    found = null;
    draw();
    return;
  }
  found = new Map();
  draw();
  const list = recordings.filter((each) => each.hasWords);
  try {
    for (let at = 0; at < list.length; at += WORDS_AT_ONCE) {
      const group = list.slice(at, at + WORDS_AT_ONCE);
      const paths = group.map((each) => `&path=${encodeURIComponent(each.path)}`).join('');
      const said = await answer(`/api/words?text=${encodeURIComponent(text)}${paths}`);
      if (look !== wordsAsked) return;
      for (const each of group) found.set(each.path, said.calls[each.path] || null);
      unreadable += said.unreadable.length;
      draw();
    }
  } catch (error) {
    if (look === wordsAsked) byId('count').textContent = `The words cannot be searched: ${error.message}`;
  }
}

async function readFacts(list, look) {
  for (let at = 0; at < list.length; at += FACTS_AT_ONCE) {
    const group = list.slice(at, at + FACTS_AT_ONCE);
    const facts = await answer(`/api/facts?${group.map((each) => `path=${encodeURIComponent(each.path)}`).join('&')}`);
    if (look !== asked) return;
    for (const each of group) each.facts = facts[each.path] || null;
    draw();
  }
}

async function load() {
  const look = ++asked;
  byId('reload').disabled = true;
  try {
    const listed = await answer('/api/recordings');
    if (look !== asked) return;
    const known = new Map(recordings.map((each) => [each.path, each.facts]));
    recordings = listed.recordings.map((each) => ({...each, facts: known.get(each.path)}));
    more = listed.more;
    byId('asks-said').hidden = !recordings.some((each) => each.hasWords);
    draw();
    if (found) readWords();
    await readFacts(recordings.filter((each) => !each.facts || each.facts.status === 'live'), look);
    document.documentElement.dataset.ready = 'true';
  } catch (error) {
    byId('count').textContent = `The list cannot be read: ${error.message}`;
  } finally {
    if (look === asked) byId('reload').disabled = false;
  }
}

byId('place').textContent = place;
byId('filters').addEventListener('input', (event) => {
  if (event.target !== byId('said')) {
    draw();
    return;
  }
  clearTimeout(typing);
  typing = setTimeout(readWords, TYPING_MS);
});
byId('filters').addEventListener('submit', (event) => event.preventDefault());
byId('reload').addEventListener('click', load);
// A click is lost if its row is replaced before the pointer is up again.
byId('rows').addEventListener('pointerdown', () => { isPressed = true; });
for (const end of ['pointerup', 'pointercancel']) {
  addEventListener(end, () => {
    isPressed = false;
    if (isLate) setTimeout(draw);
    isLate = false;
  });
}
setInterval(() => {
  const live = recordings.filter((each) => each.facts && each.facts.status === 'live');
  if (live.length && !document.hidden) load();
}, LOOK_MS);
load();
