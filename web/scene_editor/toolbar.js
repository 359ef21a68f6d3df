// The row of buttons over the time line, and the fields of the chosen event.
import { KINDS } from "./edits.js";
import { t } from "./texts.js";

const STYLE = `
.stereosync-editor { display: flex; flex-direction: column; gap: 4px; height: 100%; min-height: 566px; box-sizing: border-box;
  padding: 4px; background: #1b1b1b; color: #ddd; font: 12px sans-serif; border-radius: 6px; user-select: none; overflow: hidden }
.stereosync-editor:focus-within { outline: 1px solid #56b4e9 }
.stereosync-editor .top { display: flex; gap: 8px; height: 128px; flex: none }
.stereosync-editor video { width: 228px; height: 128px; background: #000; object-fit: contain; flex: none; border-radius: 4px }
.stereosync-editor .fields { display: flex; flex-direction: column; gap: 6px; flex: 1; min-width: 0 }
.stereosync-editor .row { display: flex; flex-wrap: wrap; gap: 5px; align-items: center; min-height: 26px }
.stereosync-editor button, .stereosync-editor select, .stereosync-editor input { font: 12px sans-serif; color: #eee; background: #333;
  border: 1px solid #555; border-radius: 4px; padding: 2px 7px; height: 24px; box-sizing: border-box }
.stereosync-editor button:hover { background: #444 }
.stereosync-editor button:disabled { color: #777; background: #2a2a2a }
.stereosync-editor button[aria-pressed=true] { background: #2d5d7c }
.stereosync-editor input[type=number] { width: 76px; padding-right: 2px }
.stereosync-editor .message { color: #bbb; overflow: hidden; line-height: 1.3 }
.stereosync-editor canvas { width: 100%; flex: none; touch-action: none; cursor: crosshair }
.stereosync-editor textarea { position: absolute; opacity: 0; width: 1px; height: 1px; pointer-events: none; resize: none; border: 0 }
`;

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, title, onclick) {
  const made = element("button", { textContent: text, title, type: "button", onclick });
  made.setAttribute("aria-label", title);
  return made;
}

export class Toolbar {
  constructor(editor) {
    if (!document.getElementById("stereosync-editor-style"))
      document.head.append(element("style", { id: "stereosync-editor-style", textContent: STYLE }));
    this.editor = editor;
    const { pointer, player } = editor;
    this.play = button("▶", t("Play from the cursor (Space)"), () => player.toggle());
    this.undo = button("↶", t("Undo (Ctrl+Z)"), () => editor.history("undo"));
    this.redo = button("↷", t("Redo (Ctrl+Shift+Z)"), () => editor.history("redo"));
    this.snap = button(t("Snap"), t("Snap events to frames (S)"), () => editor.setSnap(!editor.view.snap));
    this.clock = element("span", { className: "clock" });
    this.reset = button(t("Reset edits"), t("Go back to what was found"), () => editor.reset());
    const middle = () => (editor.view.start + editor.view.end) / 2;
    this.time = this.#number(t("Seconds"), 0.001, (value) => ({ time: value }));
    this.strength = this.#number(t("Strength, 0 to 1"), 0.05, (value) => ({ strength: Math.min(1, Math.max(0, value)) }));
    this.kind = this.#choice(t("Kind of event (1 to 5)"), KINDS, (kind) => editor.setEvent({ kind }));
    this.track = this.#choice(t("Track"), [], (value) => {
      const track = value === "" ? null : Number(value);
      if (editor.view.event) editor.setEvent({ track });
      if (track !== null) editor.view.track = track;
      editor.redraw();
    });
    this.add = button(t("+ Event"), t("Add an event at the cursor (N, or a double click)"), () => pointer.add(editor.view.cursor));
    this.remove = button(t("Delete"), t("Delete the chosen event or point (Del)"), () => pointer.remove());
    this.mirror = button(t("Mirror"), t("Swap left and right of the track's path (M)"), () => editor.mirror());
    this.message = element("div", { className: "message" });
    const zoom = [
      button("−", t("Zoom out (-)"), () => editor.zoom(1.5, middle())),
      button("+", t("Zoom in (+)"), () => editor.zoom(0.66, middle())),
      button(t("Fit"), t("Show the whole clip (0)"), () => editor.show(0, Infinity)),
    ];
    const rows = [
      [this.play, this.undo, this.redo, ...zoom, this.snap, this.clock],
      [this.kind, this.track, this.time, this.strength, this.add, this.remove],
      [this.mirror, this.reset],
    ].map((parts) => element("div", { className: "row" }, ...parts));
    rows[2].append(this.message);
    rows[2].style.flexWrap = "nowrap";
    this.fields = element("div", { className: "fields" }, ...rows);
  }

  #number(title, step, change) {
    const made = element("input", { type: "number", step, min: 0, title });
    made.setAttribute("aria-label", title);
    made.addEventListener("change", () => {
      if (made.value !== "" && Number.isFinite(Number(made.value))) this.editor.setEvent(change(Number(made.value)));
    });
    made.addEventListener("keydown", (event) => event.stopPropagation());
    return made;
  }

  #choice(title, options, change) {
    const made = element("select", { title }, ...options.map((value) => element("option", { value, textContent: t(value) })));
    made.setAttribute("aria-label", title);
    made.addEventListener("change", () => change(made.value));
    return made;
  }

  // Tracks to choose from, when a scene has come.
  tracks(tracks) {
    const name = ({ id, label }) => element("option", { value: String(id), textContent: `${label} ${id}` });
    this.track.replaceChildren(element("option", { value: "", textContent: t("no track") }), ...tracks.map(name));
  }

  update() {
    const { edits, view, player } = this.editor;
    const event = edits.event(view.event);
    this.play.textContent = player.playing ? "❚❚" : "▶";
    this.undo.disabled = !edits.done.length;
    this.redo.disabled = !edits.undone.length;
    this.reset.disabled = edits.empty && !edits.broken;
    this.snap.setAttribute("aria-pressed", String(view.snap));
    this.clock.textContent = `${view.cursor.toFixed(3)} s`;
    this.time.disabled = this.strength.disabled = !event;
    this.add.disabled = !edits.scene;
    this.mirror.disabled = view.track === null;
    this.remove.disabled = !event && !view.point;
    if (document.activeElement !== this.time) this.time.value = event ? event.time.toFixed(3) : "";
    if (document.activeElement !== this.strength) this.strength.value = event ? event.strength.toFixed(2) : "";
    this.kind.value = event?.kind ?? view.kind;
    const track = event ? event.track : view.track;
    this.track.value = track === null || track === undefined ? "" : String(track);
    this.message.textContent = this.#state();
  }

  #state() {
    const { edits } = this.editor;
    if (edits.broken) return t("The edits are no JSON of this editor; reset them.");
    const count = edits.data.events.length + edits.data.tracks.length + (edits.data.envelope.length ? 1 : 0);
    const edited = count === 1 ? t("1 edit") : t("{0} edits", count);
    if (!edits.scene) return t("{0}. Run the workflow once to see what was found.", edited);
    const lost = edits.lost();
    return lost ? t("{0}, {1} of them on what was not found again.", edited, lost) : t("{0}.", edited);
  }
}
