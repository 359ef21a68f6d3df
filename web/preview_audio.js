import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const HEIGHT = 44;

function player({ filename, subfolder, type }, text) {
  const audio = document.createElement("audio");
  audio.controls = true;
  audio.title = text ?? filename;
  audio.src = api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
  audio.style.cssText = `display: block; width: 100%; height: ${HEIGHT - 4}px; margin-bottom: 4px`;
  return audio;
}

// A batch is several sounds, and the native player plays one.
app.registerExtension({
  name: "StereoSync.PreviewAudio",
  nodeCreated(node) {
    if (node.comfyClass !== "StereoSyncSaveAudio") return;
    const players = document.createElement("div");
    players.style.overflowY = "auto";
    const widget = node.addDOMWidget("players", "stereosync_players", players, {
      serialize: false,
      getMinHeight: () => HEIGHT * Math.min(6, players.childElementCount),
    });
    widget.serialize = false;
    const executed = node.onExecuted;
    node.onExecuted = function (output) {
      executed?.apply(this, arguments);
      players.replaceChildren(...(output?.audio ?? []).map((saved, n) => player(saved, output.text?.[n])));
      const [width, height] = node.computeSize();
      node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])]);
    };
  },
});
