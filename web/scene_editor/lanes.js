// Draws the time line: ruler, filmstrip, events, paths, loudness, waveform.
import { CURVES, highest } from "./curves.js";
import { t } from "./texts.js";

export const GUTTER = 58;
export const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2"];
const NOBODY = "#999999";
const HEIGHTS = { ruler: 18, film: 44, events: 58, azimuth: 86, distance: 62, envelope: 58, wave: 66 };
const GAP = 3;

export function layout() {
  let top = 0;
  const lanes = {};
  for (const [name, height] of Object.entries(HEIGHTS)) {
    lanes[name] = { name, top, height };
    top += height + GAP;
  }
  return { lanes, height: top };
}

export class Lanes {
  constructor(canvas, view, edits) {
    Object.assign(this, { canvas, view, edits, ...layout() });
    this.pen = canvas.getContext("2d");
  }

  get width() {
    return this.canvas.clientWidth;
  }

  x(time) {
    const { start, end } = this.view;
    return GUTTER + ((time - start) / (end - start)) * (this.width - GUTTER - 6);
  }

  time(x) {
    const { start, end } = this.view;
    return start + ((x - GUTTER) / (this.width - GUTTER - 6)) * (end - start);
  }

  laneAt(y) {
    return Object.values(this.lanes).find((lane) => y >= lane.top && y < lane.top + lane.height + GAP);
  }

  // Loudness fills its lane, distance is on a logarithmic scale and near is up, the left is up as in the waveform.
  scale(name) {
    const { low, high } = CURVES[name];
    if (name === "azimuth") return { up: low, down: high };
    if (name === "distance") return { up: Math.log(low), down: Math.log(high) };
    const { scene, data } = this.edits;
    const loudest = () => Math.max(0.04, highest(scene?.envelope ?? []), highest(data.envelope));
    return { up: this.view.loudest ?? Math.min(high, 1.25 * loudest()), down: 0 };
  }

  y(name, value) {
    const { top, height } = this.lanes[name];
    const { up, down } = this.scale(name);
    const part = ((name === "distance" ? Math.log(Math.max(value, 1e-3)) : value) - up) / (down - up);
    return top + 5 + Math.min(1, Math.max(0, part)) * (height - 10);
  }

  value(name, y) {
    const { top, height } = this.lanes[name];
    const { up, down } = this.scale(name);
    const value = up + ((y - top - 5) / (height - 10)) * (down - up);
    return name === "distance" ? Math.exp(value) : value;
  }

  strengthY(strength) {
    const { top, height } = this.lanes.events;
    return top + 10 + (1 - strength) * (height - 22);
  }

  strength(y) {
    const { top, height } = this.lanes.events;
    return Math.min(1, Math.max(0, 1 - (y - top - 10) / (height - 22)));
  }

  colour(track) {
    const place = (this.edits.scene?.tracks ?? []).findIndex((known) => known.id === track);
    return place < 0 ? NOBODY : COLOURS[place % COLOURS.length];
  }

  draw() {
    const { canvas, pen } = this;
    const ratio = Math.max(1, window.devicePixelRatio || 1) * 1.5; // sharp where the graph is zoomed in
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = "11px sans-serif";
    pen.textBaseline = "middle";
    for (const lane of Object.values(this.lanes)) this.#background(lane);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER - 1, 0, this.width - GUTTER + 1, this.height);
    pen.clip();
    this.#ruler();
    this.#film();
    this.#curves();
    this.#wave();
    this.#events();
    this.#cursor();
    pen.restore();
  }

  #background({ name, top, height }) {
    const { pen } = this;
    pen.fillStyle = name === "ruler" ? "#1b1b1b" : "#232323";
    pen.fillRect(GUTTER, top, this.width - GUTTER, height);
    const captions = {
      events: [t("events")],
      azimuth: [t("left"), t("azimuth"), t("right")],
      distance: [t("near"), t("distance"), t("far")],
      envelope: [t("loudness")],
      wave: [t("left"), t("sound"), t("right")],
    };
    const lines = captions[name] ?? [];
    pen.fillStyle = "#b8b8b8";
    pen.textAlign = "right";
    lines.forEach((line, n) => {
      const part = lines.length === 1 ? 0.5 : n / (lines.length - 1);
      pen.fillText(line, GUTTER - 6, top + 8 + part * (height - 16));
    });
    if (name !== "azimuth" && name !== "wave") return;
    pen.strokeStyle = "#3a3a3a";
    pen.beginPath();
    pen.moveTo(GUTTER, top + height / 2);
    pen.lineTo(this.width, top + height / 2);
    pen.stroke();
  }

  #ruler() {
    const { pen, view } = this;
    const second = (this.width - GUTTER) / (view.end - view.start);
    const step = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600].find((value) => value * second >= 52) ?? 1200;
    pen.fillStyle = "#c8c8c8";
    pen.strokeStyle = "#3a3a3a";
    pen.textAlign = "left";
    for (let n = Math.ceil(view.start / step); n * step <= view.end; n++) {
      const x = this.x(n * step);
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, this.height);
      pen.stroke();
      pen.fillText((n * step).toFixed(step < 1 ? 2 : 0), x + 3, 9);
    }
  }

  #film() {
    const { pen, view } = this;
    const { top, height } = this.lanes.film;
    const { strip, count } = view.film ?? {};
    if (!strip?.naturalWidth) return;
    const wide = strip.naturalWidth / count;
    const cell = (wide * height) / strip.naturalHeight;
    for (let x = GUTTER; x < this.width; x += cell) {
      const part = this.time(x + cell / 2) / this.edits.scene.duration;
      if (part < 0 || part > 1) continue;
      const place = Math.min(count - 1, Math.floor(part * count));
      pen.drawImage(strip, place * wide, 0, wide, strip.naturalHeight, x, top, cell, height);
    }
  }

  #line(name, points, to) {
    const { pen } = this;
    pen.beginPath();
    pen.moveTo(this.x(this.view.start), this.y(name, points[0][1]));
    for (const [time, value] of points) pen.lineTo(this.x(time), this.y(name, value));
    pen.lineTo(this.x(this.view.end) + 20, this.y(name, points[points.length - 1][1]));
    to();
  }

  #curves() {
    const { pen, view, edits } = this;
    for (const name of ["azimuth", "distance", "envelope"]) {
      const tracks = name === "envelope" ? [null] : (edits.scene?.tracks ?? []).map((track) => track.id);
      tracks.sort((one, other) => (one === view.track) - (other === view.track)); // the chosen one on top
      for (const track of tracks) {
        const curve = edits.curve(name, track);
        if (!curve) continue;
        const chosen = name === "envelope" || track === view.track;
        const colour = name === "envelope" ? "#d8d8d8" : this.colour(track);
        pen.globalAlpha = chosen ? 1 : 0.4;
        pen.strokeStyle = colour;
        if (curve.edited) {
          pen.setLineDash([3, 3]);
          pen.lineWidth = 1;
          this.#line(name, curve.found, () => pen.stroke());
          pen.setLineDash([]);
        }
        pen.lineWidth = chosen ? 2 : 1;
        this.#line(name, curve.edited ? curve.points : curve.found, () => pen.stroke());
        if (chosen) this.#handles(name, curve, colour);
        pen.globalAlpha = 1;
      }
    }
    pen.lineWidth = 1;
  }

  #handles(name, { points }, colour) {
    const { pen, view } = this;
    points.forEach(([time, value], index) => {
      const x = this.x(time);
      if (x < GUTTER - 6 || x > this.width + 6) return;
      const chosen = view.point?.name === name && view.point.index === index;
      pen.beginPath();
      pen.arc(x, this.y(name, value), chosen ? 5 : 3.5, 0, 7);
      pen.fillStyle = chosen ? "#ffffff" : colour;
      pen.fill();
    });
  }

  #events() {
    const { pen, view } = this;
    const { top, height } = this.lanes.events;
    const { events, ghosts } = this.edits.events();
    const bottom = top + height - 12;
    pen.setLineDash([2, 3]);
    for (const ghost of ghosts) {
      pen.strokeStyle = "#8a8a8a";
      pen.beginPath();
      pen.moveTo(this.x(ghost.time), top + 4);
      pen.lineTo(this.x(ghost.time), bottom);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.textAlign = "center";
    for (const event of events) {
      const x = this.x(event.time);
      const chosen = event.key === view.event;
      const y = this.strengthY(event.strength);
      pen.strokeStyle = pen.fillStyle = chosen ? "#ffffff" : this.colour(event.track);
      pen.lineWidth = chosen ? 3 : 2;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(x, bottom);
      pen.stroke();
      pen.beginPath();
      pen.arc(x, y, chosen ? 5 : 4, 0, 7);
      pen.fill();
      pen.fillText(event.kind === "step" && event.foot ? event.foot[0].toUpperCase() : event.kind[0], x, bottom + 7);
    }
    pen.lineWidth = 1;
  }

  #wave() {
    const { pen, view } = this;
    const { top, height } = this.lanes.wave;
    if (!view.peaks) {
      pen.fillStyle = "#8a8a8a";
      pen.textAlign = "left";
      pen.fillText(t("The sound shows here when it has been made from this scene."), GUTTER + 8, top + height / 2 - 8);
      return;
    }
    pen.fillStyle = "#9bd3ae";
    view.peaks.channels.forEach((peaks, channel) => {
      const middle = top + height * (0.25 + 0.5 * channel);
      for (let x = GUTTER; x < this.width; x++) {
        const first = Math.floor(this.time(x) * view.peaks.rate);
        const last = Math.max(first + 1, Math.floor(this.time(x + 1) * view.peaks.rate));
        let peak = 0;
        for (let n = Math.max(0, first); n < Math.min(last, peaks.length); n++) peak = Math.max(peak, peaks[n]);
        const size = Math.max(0.5, (peak / view.peaks.loudest) * (height / 4 - 2));
        pen.fillRect(x, middle - size, 1, 2 * size);
      }
    });
  }

  #cursor() {
    const { pen, view } = this;
    const x = this.x(view.cursor);
    pen.strokeStyle = "#ff5050";
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, this.height);
    pen.stroke();
  }
}
