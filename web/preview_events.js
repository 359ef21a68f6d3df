import { app } from "../../scripts/app.js";

// Nodes 2.0 takes what a node with a VIDEO input shows for a video, unless the node has a media type of its own.
app.registerExtension({
  name: "StereoSync.PreviewEvents",
  nodeCreated(node) {
    if (node.comfyClass === "StereoSyncPreviewEvents") node.previewMediaType = "image";
  },
});
