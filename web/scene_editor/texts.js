// The editor's words in the language of the front end; locales/<language>/main.json holds them by their English.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

let texts = {};

export async function loadTexts() {
  const language = app.extensionManager?.setting?.get("Comfy.Locale") ?? "en";
  const all = language === "en" ? {} : await (await api.fetchApi("/i18n")).json();
  texts = all[language]?.stereosyncEditor ?? {};
}

export function t(english, ...values) {
  return values.reduce((text, value, n) => text.replace(`{${n}}`, value), texts[english] ?? english);
}
