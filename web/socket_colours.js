import { app } from "../../scripts/app.js";

// What flows in light colours, models in dark ones.
const COLOURS = {
  STEREOSYNC_DEPTH: "#56b4e9",
  STEREOSYNC_TRACKS: "#e69f00",
  STEREOSYNC_CAMERA: "#b8860b",
  STEREOSYNC_EVENTS: "#d55e00",
  STEREOSYNC_ENVELOPE: "#f0e442",
  STEREOSYNC_SPACE: "#009e73",
  STEREOSYNC_TIMBRE: "#e58bc0",
  STEREOSYNC_SOUNDS: "#a3d977",
  STEREOSYNC_MODEL: "#8a63d2",
  STEREOSYNC_STABLE_AUDIO: "#5a3fa0",
  STEREOSYNC_DETECTOR: "#9c4a3c",
  STEREOSYNC_MASA: "#6f7d1f",
  STEREOSYNC_FRAME_DEPTH: "#2a5db0",
  STEREOSYNC_ROLLINGDEPTH: "#1f8a94",
};

// A palette that is chosen later sets the types that it does not know to nothing.
function keep(colours, type) {
  let chosen = colours[type];
  const access = { get: () => chosen || COLOURS[type], set: (colour) => (chosen = colour) };
  Object.defineProperty(colours, type, { enumerable: true, configurable: true, ...access });
}

app.registerExtension({
  name: "StereoSync.SocketColours",
  setup() {
    for (const type of Object.keys(COLOURS))
      for (const colours of [app.canvas.default_connection_color_byType, window.LGraphCanvas.link_type_colors]) keep(colours, type);
    const style = document.createElement("style"); // Nodes 2.0
    style.textContent = `:root { ${Object.entries(COLOURS).map(([type, colour]) => `--color-datatype-${type}: ${colour}`).join(";")} }`;
    document.head.append(style);
  },
});
