// The clip and its sound from the cursor on; the sound's clock leads. Peaks of both channels for the waveform.

const BLOCK = 256; // samples of a peak

export class Player {
  constructor(video, view, redraw) {
    Object.assign(this, { video, view, redraw, sound: null, run: null });
  }

  get playing() {
    return this.run !== null;
  }

  get context() {
    return (this.audio ??= new AudioContext());
  }

  // A file's sound, if the browser can decode its container.
  async read(url) {
    const { context } = this;
    return context.decodeAudioData(await (await fetch(url)).arrayBuffer());
  }

  show(sound) {
    this.sound = sound;
    const channels = [0, Math.min(1, sound.numberOfChannels - 1)].map((n) => peaksOf(sound.getChannelData(n)));
    const loudest = Math.max(1e-4, ...channels.map((peaks) => peaks.reduce((most, peak) => Math.max(most, peak), 0)));
    this.view.peaks = { channels, rate: sound.sampleRate / BLOCK, loudest };
    this.redraw();
  }

  seek(time) {
    const playing = this.playing;
    if (playing) this.pause();
    this.view.cursor = time;
    if (this.video.src) this.video.currentTime = time;
    if (playing) this.play();
    this.redraw();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  async play() {
    const length = this.video.duration || this.sound?.duration || 0;
    if (this.view.cursor >= length - 0.02) this.view.cursor = 0;
    const from = this.view.cursor;
    const run = (this.run = {});
    if (this.video.src) {
      this.video.currentTime = from;
      this.video.play().catch(() => {});
    }
    await this.context.resume().catch(() => {}); // it is closed while it starts
    if (this.run !== run) return;
    const start = this.context.currentTime + 0.03;
    if (this.sound && from < this.sound.duration) {
      this.node = this.context.createBufferSource();
      this.node.buffer = this.sound;
      this.node.connect(this.context.destination);
      this.node.start(start, from);
    }
    const step = () => {
      if (this.run !== run) return;
      this.view.cursor = from + Math.max(0, this.context.currentTime - start);
      if (this.view.cursor >= length) return this.pause();
      if (Math.abs(this.video.currentTime - this.view.cursor) > 0.08) this.video.currentTime = this.view.cursor;
      this.redraw();
      this.frame = requestAnimationFrame(step);
    };
    step();
  }

  pause() {
    this.run = null;
    cancelAnimationFrame(this.frame);
    this.node?.stop();
    this.node = null;
    this.video.pause();
    this.redraw();
  }

  close() {
    if (this.playing) this.pause();
    this.audio?.close();
  }
}

function peaksOf(samples) {
  const peaks = new Float32Array(Math.ceil(samples.length / BLOCK));
  for (let n = 0; n < samples.length; n++) {
    const place = (n / BLOCK) | 0;
    const size = Math.abs(samples[n]);
    if (size > peaks[place]) peaks[place] = size;
  }
  return peaks;
}
