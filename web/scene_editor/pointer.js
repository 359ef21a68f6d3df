// Mouse and keyboard on the time line.
import { CURVES, shifted, valueAt, withNewPoint, withPoint, withoutPoint } from "./curves.js";
import { KINDS } from "./edits.js";
import { GUTTER } from "./lanes.js";

const NEAR = 7; // pixels
const STRENGTH_STEP = 0.05;
const FINE = 0.01; // seconds of a key press without snapping

export class Pointer {
  constructor(editor) {
    this.editor = editor;
    const { canvas } = editor;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event));
    canvas.addEventListener("dblclick", (event) => this.#double(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    editor.focus.addEventListener("keydown", (event) => this.#key(event));
  }

  // Canvas units, whatever the graph's zoom.
  #place(event) {
    const { canvas } = this.editor;
    const box = canvas.getBoundingClientRect();
    const scale = canvas.clientWidth / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  }

  #eventAt(x) {
    const { lanes, edits } = this.editor;
    const near = edits.events().events.map((event) => [Math.abs(lanes.x(event.time) - x), event]);
    near.sort((one, other) => one[0] - other[0]);
    return near.length && near[0][0] <= NEAR ? near[0][1] : null;
  }

  // The handle or the line of a curve at a place: `{name, track, points, index}`, index -1 on the line.
  #curveAt(name, x, y) {
    const { lanes, edits, view } = this.editor;
    const all = name === "envelope" ? [null] : (edits.scene?.tracks ?? []).map((track) => track.id);
    all.sort((one, other) => (other === view.track) - (one === view.track));
    for (const track of all) {
      const curve = edits.curve(name, track);
      if (!curve) continue;
      const chosen = name === "envelope" || track === view.track;
      const index = curve.points.findIndex(
        ([time, value]) => Math.hypot(lanes.x(time) - x, lanes.y(name, value) - y) <= NEAR,
      );
      if (chosen && index >= 0) return { name, track, points: curve.points, index };
      const value = valueAt(curve.edited ? curve.points : curve.found, lanes.time(x));
      if (Math.abs(lanes.y(name, value) - y) <= NEAR) return { name, track, points: curve.points, index: -1 };
    }
    return null;
  }

  #down(event) {
    const { editor } = this;
    const { lanes, view } = editor;
    event.preventDefault();
    editor.focus.focus({ preventScroll: true });
    editor.canvas.setPointerCapture(event.pointerId);
    const { x, y } = this.#place(event);
    const lane = lanes.laneAt(y)?.name;
    this.drag = null;
    if (event.button === 1 || x < GUTTER - NEAR) {
      this.drag = { what: "pan", time: lanes.time(x) };
    } else if (lane === "events") {
      const hit = this.#eventAt(x);
      editor.select({ event: hit?.key ?? null });
      if (hit) this.drag = { what: "event", hit, from: { x, y } };
    } else if (lane in CURVES) {
      const hit = this.#curveAt(lane, x, y);
      if (hit) {
        if (hit.track !== null) view.track = hit.track;
        editor.select({ point: hit.index < 0 ? null : { name: lane, track: hit.track, index: hit.index } });
        this.drag = { what: hit.index < 0 ? "line" : "point", hit, from: { x, y } };
        view.loudest = lane === "envelope" ? lanes.scale("envelope").up : undefined; // the scale stands still
      } else editor.select({});
    } else {
      this.drag = { what: "cursor" };
      editor.player.seek(editor.within(lanes.time(x)));
    }
    editor.redraw();
  }

  #move(event) {
    const { editor, drag } = this;
    if (!drag) return;
    const { lanes, edits, view } = editor;
    const { x, y } = this.#place(event);
    if (drag.what === "pan") {
      editor.show(view.start + drag.time - lanes.time(x), view.end + drag.time - lanes.time(x));
      return;
    }
    if (drag.what === "cursor") {
      editor.player.seek(editor.within(lanes.time(x)));
      return;
    }
    if (!drag.begun) {
      if (Math.hypot(x - drag.from.x, y - drag.from.y) < 3) return;
      edits.begin();
      drag.begun = true;
      drag.across = Math.abs(x - drag.from.x) >= Math.abs(y - drag.from.y);
    }
    const { hit } = drag;
    if (drag.what === "event") {
      const time = hit.time + lanes.time(x) - lanes.time(drag.from.x);
      const strength = hit.strength + lanes.strength(y) - lanes.strength(drag.from.y);
      const change = drag.across ? { time: editor.snapped(time) } : { strength: rounded(Math.min(1, Math.max(0, strength))) };
      edits.changeEvent(hit.key, change);
    } else if (drag.what === "point") {
      const moved = withPoint(hit.name, hit.points, hit.index, editor.within(lanes.time(x)), lanes.value(hit.name, y));
      edits.setCurve(hit.name, hit.track, moved);
    } else {
      const [now, before] = [lanes.value(hit.name, y), lanes.value(hit.name, drag.from.y)];
      edits.setCurve(hit.name, hit.track, shifted(hit.name, hit.points, hit.name === "distance" ? now / before : now - before));
    }
    editor.changed({ going: true });
  }

  #up() {
    const { editor, drag } = this;
    this.drag = null;
    editor.view.loudest = undefined;
    if (drag?.begun) editor.changed();
    else editor.redraw();
  }

  #double(event) {
    const { editor } = this;
    const { lanes, edits, view } = editor;
    const { x, y } = this.#place(event);
    const lane = lanes.laneAt(y)?.name;
    if (x < GUTTER - NEAR || !edits.scene) return;
    if (lane === "events" && !this.#eventAt(x)) {
      this.add(lanes.time(x), rounded(lanes.strength(y)));
    } else if (lane in CURVES) {
      const track = lane === "envelope" ? null : view.track;
      const curve = edits.curve(lane, track);
      if (!curve) return;
      const { points, index } = withNewPoint(lane, curve.points, editor.within(lanes.time(x)), lanes.value(lane, y));
      if (index < 0) return;
      edits.begin();
      edits.setCurve(lane, track, points);
      editor.select({ point: { name: lane, track, index } });
      editor.changed();
    }
  }

  #wheel(event) {
    const { editor } = this;
    if (document.activeElement !== editor.focus) return; // until a click, the wheel is the graph's
    event.preventDefault();
    event.stopPropagation();
    const { view, lanes } = editor;
    const time = lanes.time(this.#place(event).x);
    if (event.shiftKey) {
      const by = (Math.sign(event.deltaY || event.deltaX) * (view.end - view.start)) / 10;
      editor.show(view.start + by, view.end + by);
    } else editor.zoom(event.deltaY > 0 ? 1.25 : 0.8, time);
  }

  add(time, strength = 0.7) {
    const { editor } = this;
    const { edits, view } = editor;
    edits.begin();
    const kind = edits.event(view.event)?.kind ?? view.kind;
    const key = edits.addEvent({ time: editor.snapped(time), kind, track: view.track, strength });
    editor.select({ event: key });
    editor.changed();
  }

  remove() {
    const { editor } = this;
    const { edits, view } = editor;
    if (view.event) {
      edits.begin();
      edits.deleteEvent(view.event);
    } else if (view.point) {
      const { name, track, index } = view.point;
      const curve = edits.curve(name, track);
      edits.begin();
      edits.setCurve(name, track, withoutPoint(curve.points, index));
    } else return;
    editor.select({});
    editor.changed();
  }

  nudge(frames, strength) {
    const { editor } = this;
    const { edits, view } = editor;
    const event = edits.event(view.event);
    if (!event) {
      if (frames) editor.player.seek(editor.within(editor.stepped(view.cursor, frames)));
      return;
    }
    edits.begin();
    if (frames) edits.changeEvent(view.event, { time: view.snap ? editor.stepped(event.time, frames) : event.time + frames * FINE });
    else edits.changeEvent(view.event, { strength: rounded(Math.min(1, Math.max(0, event.strength + strength))) });
    editor.changed();
  }

  // From event to event.
  next(by) {
    const { editor } = this;
    const { events } = editor.edits.events();
    if (!events.length) return;
    const place = events.findIndex((event) => event.key === editor.view.event);
    const next = place < 0 ? events.find((event) => event.time >= editor.view.cursor) ?? events[0] : events.at((place + by) % events.length);
    editor.select({ event: next.key });
    editor.player.seek(next.time);
  }

  #key(event) {
    const { editor } = this;
    const { view } = editor;
    const middle = (view.start + view.end) / 2;
    const control = event.ctrlKey || event.metaKey;
    const actions = {
      " ": () => editor.player.toggle(),
      ArrowLeft: () => this.nudge(-1),
      ArrowRight: () => this.nudge(1),
      ArrowUp: () => this.nudge(0, STRENGTH_STEP),
      ArrowDown: () => this.nudge(0, -STRENGTH_STEP),
      Delete: () => this.remove(),
      Backspace: () => this.remove(),
      Escape: () => editor.select({}),
      n: () => this.add(view.cursor),
      "[": () => this.next(-1),
      "]": () => this.next(1),
      "+": () => editor.zoom(0.8, middle),
      "=": () => editor.zoom(0.8, middle),
      "-": () => editor.zoom(1.25, middle),
      0: () => editor.show(0, Infinity),
      Home: () => editor.player.seek(0),
      End: () => editor.player.seek(editor.edits.scene?.duration ?? 0),
      m: () => editor.mirror(),
      s: () => editor.setSnap(!view.snap),
    };
    let action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (control) {
      const key = event.key.toLowerCase();
      action = key === "z" ? () => editor.history(event.shiftKey ? "redo" : "undo") : key === "y" ? () => editor.history("redo") : null;
    } else if (/^[1-5]$/.test(event.key)) action = () => editor.setEvent({ kind: KINDS[event.key - 1] });
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
    editor.redraw();
  }
}

function rounded(value) {
  return Math.round(value * 100) / 100;
}
