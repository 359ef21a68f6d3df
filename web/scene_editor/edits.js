// The edits as the node's JSON holds them, what the scene is with them, and undo. The same rules as the node's own.
import { handles, valueAt } from "./curves.js";

export const KINDS = ["step", "landing", "impact", "clap", "onset"];
const TOLERANCE = 0.15; // seconds between an edit's event and the one that is found again
const FIELDS = ["time", "kind", "track", "foot", "strength"];

export class Edits {
  constructor() {
    this.scene = null;
    this.broken = "";
    this.clear();
  }

  clear() {
    this.data = { version: 1, events: [], tracks: [], envelope: [] };
    this.undone = [];
    this.done = [];
  }

  get empty() {
    const { events, tracks, envelope } = this.data;
    return !events.length && !tracks.length && !envelope.length;
  }

  // A text that is no document of ours stays as it is, for the node to name what is wrong with it.
  get text() {
    if (this.broken) return this.broken;
    return this.empty ? "" : JSON.stringify(this.data);
  }

  set text(text) {
    if (text === this.text) return;
    this.clear();
    this.broken = "";
    if (!text) return;
    try {
      const data = JSON.parse(text);
      if (data.version !== 1) throw new Error("version");
      this.data = { version: 1, events: data.events ?? [], tracks: data.tracks ?? [], envelope: data.envelope ?? [] };
    } catch {
      this.broken = text;
    }
  }

  // Everything until the next call is one step of undo.
  begin() {
    this.done.push(JSON.stringify(this.data));
    this.undone = [];
    this.broken = "";
  }

  undo() {
    if (!this.done.length) return false;
    this.undone.push(JSON.stringify(this.data));
    this.data = JSON.parse(this.done.pop());
    return true;
  }

  redo() {
    if (!this.undone.length) return false;
    this.done.push(JSON.stringify(this.data));
    this.data = JSON.parse(this.undone.pop());
    return true;
  }

  reset() {
    this.begin();
    this.data = { version: 1, events: [], tracks: [], envelope: [] };
  }

  // Which found event each edit belongs to: the nearest of its kind and track, the nearest pairs first.
  matches() {
    const found = this.scene?.events ?? [];
    const pairs = [];
    this.data.events.forEach((edit, number) => {
      if (!edit.found) return;
      const { time, kind, track } = edit.found;
      for (let place = countBefore(found, time - 1); found[place]?.time < time + 1; place++) {
        const apart = Math.abs(found[place].time - time);
        const same = found[place].kind === kind && found[place].track === (track ?? null);
        if (same && apart <= TOLERANCE) pairs.push([apart, number, place]);
      }
    });
    pairs.sort((one, other) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
    const placeOf = new Map();
    const taken = new Set();
    for (const [, number, place] of pairs) {
      if (placeOf.has(number) || taken.has(place)) continue;
      placeOf.set(number, place);
      taken.add(place);
    }
    return placeOf;
  }

  // Every event as it is with the edits; `key` names it until the next change of the list. Ghosts are where edited ones were found.
  events() {
    const placeOf = this.matches();
    const editOf = new Map([...placeOf].map(([number, place]) => [place, number]));
    const events = [];
    const ghosts = [];
    (this.scene?.events ?? []).forEach((event, place) => {
      const number = editOf.get(place);
      const edit = number === undefined ? null : this.data.events[number];
      if (edit && (edit.deleted || edit.time !== undefined)) ghosts.push(event);
      if (!edit?.deleted) events.push({ ...event, ...(edit && picked(edit)), key: `found ${place}`, place, number });
    });
    this.data.events.forEach((edit, number) => {
      if (edit.found) return;
      events.push({ kind: "onset", track: null, foot: null, strength: 0.7, confidence: 1, ...picked(edit), key: `new ${number}`, number });
    });
    events.sort((one, other) => one.time - other.time);
    return { events, ghosts };
  }

  event(key) {
    return key ? this.events().events.find((event) => event.key === key) : undefined;
  }

  changeEvent(key, changes) {
    const event = this.event(key);
    if (!event) return;
    if (changes.time !== undefined) {
      const length = this.scene?.duration ?? Infinity;
      changes = { ...changes, time: Math.round(Math.min(length, Math.max(0, changes.time)) * 1e4) / 1e4 };
    }
    if (event.number === undefined) {
      const { time, kind, track } = this.scene.events[event.place];
      this.data.events.push({ found: { time, kind, track }, ...changes });
    } else Object.assign(this.data.events[event.number], changes);
  }

  addEvent(event) {
    this.data.events.push({ ...event, time: Math.round(event.time * 1e4) / 1e4 });
    return `new ${this.data.events.length - 1}`;
  }

  deleteEvent(key) {
    const event = this.event(key);
    if (!event) return;
    if (event.place === undefined) this.data.events.splice(event.number, 1);
    else {
      const { time, kind, track } = this.scene.events[event.place];
      const edit = { found: { time, kind, track }, deleted: true };
      if (event.number === undefined) this.data.events.push(edit);
      else this.data.events[event.number] = edit;
    }
  }

  // The path of a track, or the envelope: `found` as it was found, `points` the handles, `edited` whether they are an edit's.
  curve(name, track) {
    const own = name === "envelope" ? this.data.envelope : this.data.tracks.find((edit) => edit.track === track)?.[name];
    const scene = this.scene;
    const found = name === "envelope" ? scene?.envelope : scene?.tracks.find((known) => known.id === track)?.[name];
    if (own?.length) return { found: found ?? own, points: own, edited: true };
    return found?.length ? { found, points: handles[name](found), edited: false } : null;
  }

  setCurve(name, track, points) {
    if (name === "envelope") {
      this.data.envelope = points;
      return;
    }
    let edit = this.data.tracks.find((known) => known.track === track);
    if (!edit) this.data.tracks.push((edit = { track }));
    edit[name] = points;
  }

  curveValue(name, track, time) {
    const curve = this.curve(name, track);
    return curve ? valueAt(curve.edited ? curve.points : curve.found, time) : null;
  }

  // Edits that find nothing to be made on.
  lost() {
    if (!this.scene) return 0;
    const placeOf = this.matches();
    const events = this.data.events.filter((edit, number) => edit.found && !placeOf.has(number)).length;
    return events + this.data.tracks.filter((edit) => !this.scene.tracks.some((track) => track.id === edit.track)).length;
  }
}

// Found events are in order of time.
function countBefore(events, time) {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function picked(edit) {
  return Object.fromEntries(FIELDS.filter((name) => edit[name] !== undefined).map((name) => [name, edit[name]]));
}
