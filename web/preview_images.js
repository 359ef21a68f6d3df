import { app } from "../../scripts/app.js";

const VIDEOS = ["StereoSyncLoadVideo", "StereoSyncSoundOntoVideo", "StereoSyncPreviewScene"];

// Nodes 2.0 takes what a node with a VIDEO input shows for a video, unless the node has a media type of its own.
app.registerExtension({
  name: "StereoSync.PreviewImages",
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("StereoSync") && !VIDEOS.includes(node.comfyClass)) node.previewMediaType = "image";
  },
});
