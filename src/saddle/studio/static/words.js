// Words in the browser's language, and numbers as it writes them.
import { en } from "/static/en.js";
import { ko } from "/static/ko.js";

export const language = (navigator.languages || [navigator.language]).some((each, at) => at === 0 && each.toLowerCase().startsWith("ko")) ? "ko" : "en";
export const words = language === "ko" ? ko : en;

const whole = new Intl.NumberFormat(language);

export function put(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(Math.round(value));
}

export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return String(Number(value.toPrecision(4)));
}

export function percent(value) {
  return `${Math.floor(100 * Math.min(value, 1))} %`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const total = Math.round(seconds);
  const [hours, minutes] = [Math.floor(total / 3600), Math.floor(total / 60) % 60];
  const two = (part) => String(part).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${minutes}:${two(total % 60)}`;
}

/** The verdict on health in words: the server's in English, our own where there are some. */
export function verdictWords(verdict) {
  const before = verdict.kind === "collapsed" && !verdict.evidence.varied_before ? " from the beginning" : "";
  const text = words.verdict_words[verdict.kind + before];
  if (!text) return verdict.words;
  const evidence = { ...verdict.evidence };
  const shares = ["variety", "coverage", "change", "copies"];
  if (evidence.kinds && evidence.variety) evidence.real = Math.round(evidence.kinds / Math.max(evidence.variety, 1e-9));
  for (const name of Object.keys(evidence)) {
    if (shares.includes(name)) evidence[name] = `${Math.round(100 * evidence[name])} %`;
    else evidence[name] = name === "best_at" || name === "kinds" ? count(evidence[name]) : short(evidence[name]);
  }
  return put(text, evidence);
}

export function advice(verdict) {
  return words.verdict_advice[verdict.kind] || verdict.advice || "";
}
