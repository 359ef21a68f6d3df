// What the host's history knows of a run: the scene that the node has found, and the sound that was made from it.

const PLAYABLE = /\.(mp4|mov|webm|m4a|wav|flac|opus|ogg|mp3)$/i;

// Nodes of a prompt have the ids of their subgraphs before their own.
function keyOf(entry, id, kind) {
  const prompt = entry.prompt?.[2] ?? {};
  return Object.keys(prompt).find((key) => key.split(":").at(-1) === String(id) && prompt[key].class_type === kind);
}

export function sceneOf(entry, id, kind) {
  return entry.outputs?.[keyOf(entry, id, kind)]?.scene?.[0] ?? null;
}

// Files with sound that come from nodes behind the editor's: sound before video, the nearest first.
export function soundOf(entry, id, kind) {
  const prompt = entry.prompt[2];
  const behind = [keyOf(entry, id, kind)];
  for (const key of behind) {
    for (const [other, node] of Object.entries(prompt)) {
      const linked = Object.values(node.inputs).some((value) => Array.isArray(value) && value[0] === key);
      if (linked && !behind.includes(other)) behind.push(other);
    }
  }
  const outputs = behind.slice(1).map((key) => entry.outputs?.[key] ?? {});
  const sounds = outputs.flatMap((output) => output.audio ?? []);
  const videos = outputs.filter((output) => !output.scene).flatMap((output) => [...(output.images ?? []), ...(output.video ?? [])]);
  return [...sounds, ...videos].filter((file) => PLAYABLE.test(file?.filename ?? ""));
}
