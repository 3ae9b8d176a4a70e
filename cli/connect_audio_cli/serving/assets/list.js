// The list of recordings. Names come at once; manifests are asked for in small groups, the newest first.
'use strict';

const byId = (id) => document.getElementById(id);
const FACTS_AT_ONCE = 40; // recordings of one question
const LOOK_MS = 5000; // between two looks at calls that are going on
const STATUS = {complete: 'Whole', partial: 'Not whole', empty: 'Nothing recorded', live: 'Live', segments: 'Segments alone'};
const {place} = JSON.parse(byId('data').textContent);
let recordings = [];
let more = false;
let asked = 0; // counts the looks, so that answers to an older one are dropped

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
    return (!text || `${each.path} ${facts.contactId || ''}`.toLowerCase().includes(text))
      && (!status || facts.status === status) && (!from || day >= from) && (!to || (day && day <= to));
  });
}

function draw() {
  const begin = (each) => (each.facts && each.facts.startTime) || each.startTime || '';
  recordings.sort((a, b) => begin(b).localeCompare(begin(a)) || b.path.localeCompare(a.path));
  const rows = shown();
  const focused = document.activeElement.closest('#rows a')?.href;
  byId('rows').replaceChildren(...rows.map(row));
  if (focused) [...byId('rows').querySelectorAll('a')].find((each) => each.href === focused)?.focus();
  const unknown = recordings.filter((each) => each.facts === undefined).length;
  byId('count').textContent = [
    `${rows.length} of ${recordings.length} ${recordings.length === 1 ? 'recording' : 'recordings'}`,
    more && 'older ones are not listed: serve a narrower place to see them',
    unknown && `${unknown} manifests still to read`,
  ].filter(Boolean).join('; ');
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
    const found = await answer('/api/recordings');
    if (look !== asked) return;
    const known = new Map(recordings.map((each) => [each.path, each.facts]));
    recordings = found.recordings.map((each) => ({...each, facts: known.get(each.path)}));
    more = found.more;
    draw();
    await readFacts(recordings.filter((each) => !each.facts || each.facts.status === 'live'), look);
    document.documentElement.dataset.ready = 'true';
  } catch (error) {
    byId('count').textContent = `The list cannot be read: ${error.message}`;
  } finally {
    if (look === asked) byId('reload').disabled = false;
  }
}

byId('place').textContent = place;
byId('filters').addEventListener('input', draw);
byId('filters').addEventListener('submit', (event) => event.preventDefault());
byId('reload').addEventListener('click', load);
setInterval(() => {
  const live = recordings.filter((each) => each.facts && each.facts.status === 'live');
  if (live.length && !document.hidden) load();
}, LOOK_MS);
load();
