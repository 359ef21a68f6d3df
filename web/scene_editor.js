import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { shifted } from "./scene_editor/curves.js";
import { Edits } from "./scene_editor/edits.js";
import { Lanes } from "./scene_editor/lanes.js";
import { Player } from "./scene_editor/player.js";
import { Pointer } from "./scene_editor/pointer.js";
import { soundOf, sceneOf } from "./scene_editor/runs.js";
import { loadTexts, t } from "./scene_editor/texts.js";
import { Toolbar, element } from "./scene_editor/toolbar.js";

const NODE = "StereoSyncEditScene";
const [WIDTH, HEIGHT] = [880, 574];
const editors = new Map();

const url = ({ filename, subfolder, type }) => api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);

class SceneEditor {
  constructor() {
    this.edits = new Edits();
    this.view = { start: 0, end: 10, cursor: 0, track: null, event: null, point: null, snap: true, kind: "step", peaks: null };
    this.canvas = element("canvas");
    this.focus = element("textarea", { readOnly: true, tabIndex: 0 });
    this.focus.setAttribute("aria-label", t("Scene editor"));
    this.video = element("video", { muted: true, playsInline: true, preload: "auto" });
    this.player = new Player(this.video, this.view, () => this.redraw());
    this.lanes = new Lanes(this.canvas, this.view, this.edits);
    this.canvas.style.height = `${this.lanes.height}px`;
    this.pointer = new Pointer(this);
    this.toolbar = new Toolbar(this);
    const top = element("div", { className: "top" }, this.video, this.toolbar.fields);
    this.element = element("div", { className: "stereosync-editor" }, top, this.canvas, this.focus);
    // the graph under the editor must not take what is meant for it
    for (const kind of ["pointerdown", "pointermove", "pointerup", "dblclick"])
      this.element.addEventListener(kind, (event) => event.stopPropagation());
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    this.redraw();
  }

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.lanes.draw();
      this.toolbar.update();
    });
  }

  get value() {
    return this.edits.text;
  }

  set value(text) {
    this.edits.text = text ?? "";
    this.redraw();
  }

  changed({ going = false } = {}) {
    this.redraw();
    if (!going) app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
  }

  select({ event = null, point = null }) {
    Object.assign(this.view, { event, point });
    const track = this.edits.event(event)?.track;
    if (track !== null && track !== undefined) this.view.track = track;
    this.redraw();
  }

  setEvent(changes) {
    if (changes.kind) this.view.kind = changes.kind;
    if (this.view.event) {
      this.edits.begin();
      this.edits.changeEvent(this.view.event, changes);
      this.changed();
    } else this.redraw();
  }

  setSnap(on) {
    this.view.snap = on;
    this.redraw();
  }

  history(step) {
    if (this.edits[step]()) {
      this.select({});
      this.changed();
    }
  }

  reset() {
    this.edits.reset();
    this.select({});
    this.changed();
  }

  mirror() {
    const curve = this.edits.curve("azimuth", this.view.track);
    if (!curve) return;
    this.edits.begin();
    this.edits.setCurve("azimuth", this.view.track, shifted("azimuth", curve.points.map(([time, value]) => [time, -value]), 0));
    this.changed();
  }

  within(time) {
    return Math.min(this.edits.scene?.duration ?? 0, Math.max(0, time));
  }

  nearestFrame(time) {
    const frames = this.edits.scene?.frames ?? [];
    let [low, high] = [0, frames.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (frames[middle] <= time) low = middle;
      else high = middle;
    }
    return Math.abs((frames[high] ?? 0) - time) < Math.abs((frames[low] ?? 0) - time) ? high : low;
  }

  snapped(time) {
    const frames = this.edits.scene?.frames ?? [];
    return this.view.snap && frames.length ? frames[this.nearestFrame(time)] : this.within(time);
  }

  stepped(time, count) {
    const frames = this.edits.scene?.frames ?? [];
    return frames[Math.min(frames.length - 1, Math.max(0, this.nearestFrame(time) + count))] ?? time;
  }

  show(start, end) {
    const length = this.edits.scene?.duration ?? 10;
    const wide = Math.min(length, Math.max(0.2, end - start));
    this.view.start = Math.min(length - wide, Math.max(0, start));
    this.view.end = this.view.start + wide;
    this.redraw();
  }

  zoom(by, around) {
    const { start, end } = this.view;
    this.show(around - (around - start) * by, around + (end - around) * by);
  }

  // What a run has found.
  async load(saved) {
    this.saved = saved;
    const scene = await (await fetch(url(saved))).json();
    if (this.saved !== saved) return; // a later one has come, or the node has gone
    const first = this.edits.scene?.duration !== scene.duration;
    this.edits.scene = scene;
    this.toolbar.tracks(scene.tracks);
    if (!scene.tracks.some((track) => track.id === this.view.track)) this.view.track = scene.tracks[0]?.id ?? null;
    if (first) this.show(0, Infinity);
    const strip = new Image();
    strip.onload = () => this.redraw();
    strip.src = url(scene.strip);
    this.view.film = { strip, count: scene.strip.count };
    if (this.video.getAttribute("src") !== url(scene.copy)) this.video.src = url(scene.copy);
    this.redraw();
  }

  // A run that ended, or an earlier one after the page was reloaded.
  async loadRun(entry, id, anew) {
    const scene = sceneOf(entry, id, NODE);
    if (!scene) return;
    this.entry = entry;
    if (anew) await this.load(scene);
    for (const file of soundOf(entry, id, NODE)) {
      if (this.entry !== entry) return;
      const sound = await this.player.read(url(file)).catch(() => null); // a container that the browser cannot decode
      if (sound && this.entry === entry) return this.player.show(sound);
    }
  }

  close() {
    this.saved = this.entry = null;
    this.player.close();
  }
}

// Nodes 2.0 keeps a node's element where another graph has a node of the same id, and with it the former node's editor.
function attach() {
  for (const [node, editor] of editors) {
    if (editor.element.isConnected) continue;
    document.querySelector(`[data-node-id="${node.id}"] .stereosync-editor`)?.replaceWith(editor.element);
  }
}

async function history(path) {
  return Object.values(await (await api.fetchApi(path)).json());
}

// Whether a run is of the graph that is open now: another may have nodes of the same ids.
function isOpen(entry) {
  return entry.prompt[3]?.extra_pnginfo?.workflow?.id === (app.rootGraph ?? app.graph).id;
}

app.registerExtension({
  name: "StereoSync.SceneEditor",

  getCustomWidgets() {
    return {
      STEREOSYNC_SCENE_EDITOR(node, name) {
        const editor = new SceneEditor();
        editors.set(node, editor);
        const widget = node.addDOMWidget(name, "STEREOSYNC_SCENE_EDITOR", editor.element, {
          getValue: () => editor.value,
          setValue: (text) => (editor.value = text),
          getMinHeight: () => HEIGHT,
          hideOnZoom: false,
        });
        return { widget, minWidth: WIDTH, minHeight: HEIGHT };
      },
    };
  },

  nodeCreated(node) {
    const editor = editors.get(node);
    if (!editor) return;
    setTimeout(attach, 300);
    node.setSize([Math.max(WIDTH, node.size[0]), Math.max(node.computeSize()[1], node.size[1])]);
    const { onExecuted, onRemoved } = node;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (output?.scene?.length) editor.load(output.scene[0]);
    };
    node.onRemoved = function () {
      onRemoved?.apply(this, arguments);
      editor.close();
      editors.delete(node);
    };
  },

  async setup() {
    await loadTexts();
    api.addEventListener("execution_success", async ({ detail }) => {
      const [entry] = await history(`/history/${detail.prompt_id}`);
      for (const [node, editor] of entry && isOpen(entry) ? editors : []) editor.loadRun(entry, node.id, false);
    });
  },

  // What earlier runs of this workflow have found and made, where the host still has it.
  async afterConfigureGraph() {
    if (!editors.size) return;
    const entries = (await history("/history?max_items=32")).reverse().filter(isOpen);
    for (const [node, editor] of editors) {
      if (editor.saved) continue;
      const entry = entries.find((entry) => sceneOf(entry, node.id, NODE));
      if (entry) editor.loadRun(entry, node.id, true);
    }
  },
});
