// Times as people read them. Seconds count from the call's beginning, ms from 1970.
'use strict';

/** A place in the call: 0:05, 12:34.5, 1:02:03. Cut, not rounded, so that it never runs ahead. */
function placeText(seconds, decimals = 0) {
  const unit = 10 ** decimals;
  const whole = Math.floor(Math.max(0, seconds) * unit + 1e-6) / unit;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = (whole % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** The seconds of a place as a link writes it: 62.5, 1:02.5 or 1:01:02. Null for anything else. */
function placeSeconds(text) {
  if (!/^\d+(:\d{1,2}){0,2}(\.\d+)?$/.test(text)) return null;
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Date or time of day in a zone; the reader's own zone without one. */
function clockText(ms, what, zone) {
  const options = what === 'date'
    ? {year: 'numeric', month: '2-digit', day: '2-digit'}
    : {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'};
  return new Intl.DateTimeFormat('sv-SE', {...options, timeZone: zone}).format(ms);
}

/** Minutes that the reader's zone is ahead of UTC at a time, as UTC+02:00. */
function zoneText(ms) {
  const ahead = -new Date(ms).getTimezoneOffset();
  const part = (minutes) => String(minutes).padStart(2, '0');
  return `UTC${ahead < 0 ? '−' : '+'}${part(Math.floor(Math.abs(ahead) / 60))}:${part(Math.abs(ahead) % 60)}`;
}

/** True if the reader's zone is UTC at a time. */
function isUtc(ms) {
  return new Date(ms).getTimezoneOffset() === 0;
}

/** A length in words for the eye: 0.4 s, 12 s, 3:05. */
function lengthText(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 60 ? `${Math.round(seconds)} s` : placeText(Math.round(seconds));
}
