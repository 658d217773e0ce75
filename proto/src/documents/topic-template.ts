import type { TextPart } from './text-template.js';

/** One level of a topic template. */
export type TopicLevel =
  | { readonly type: 'Text'; readonly text: string }
  /** `+`: any one level. */
  | { readonly type: 'Any' }
  /** `{name}`: any one level, kept under that name. */
  | { readonly type: 'Capture'; readonly name: string }
  /** `#`: everything that follows, also nothing; always the last. */
  | { readonly type: 'Rest' };

/** Stands in for names: in no topic. */
const NAMED = '\0';
const CAPTURE = /^\{([A-Za-z][A-Za-z0-9_]{0,62})\}$/;
const RESERVED = /[{}+#]|\p{Cc}/u;

/**
 * Reads `site/+/bed/{bed}/ecg`: topic filters of MQTT (OASIS MQTT 5.0, 4.7) in which `{name}` is a `+` whose level is
 * kept. Gives what is wrong with it as a text where it is no template.
 */
export function parseTopicTemplate(template: string): readonly TopicLevel[] | string {
  const levels = template.split('/').map(levelOf);
  const broken = levels.find((level) => typeof level === 'string');
  if (broken !== undefined) return broken;
  const parsed = levels.filter((level) => typeof level !== 'string');
  if (parsed.slice(0, -1).some(({ type }) => type === 'Rest')) return '# stands before the end';
  const names = topicCaptures(parsed);
  return new Set(names).size === names.length ? parsed : 'captures the same name twice';
}

function levelOf(text: string): TopicLevel | string {
  if (text === '+') return { type: 'Any' };
  if (text === '#') return { type: 'Rest' };
  const name = CAPTURE.exec(text)?.[1];
  if (name !== undefined) return { type: 'Capture', name };
  if (RESERVED.test(text)) return '+, # or {name} is not a whole level, or a control character is in it';
  return { type: 'Text', text };
}

/** Names that a template keeps, in order. */
export function topicCaptures(levels: readonly TopicLevel[]): readonly string[] {
  return levels.flatMap((level) => (level.type === 'Capture' ? [level.name] : []));
}

/** The topic filter to subscribe to. */
export function topicFilter(levels: readonly TopicLevel[]): string {
  return levels
    .map((level) => (level.type === 'Text' ? level.text : level.type === 'Rest' ? '#' : '+'))
    .join('/');
}

/** Levels of what is published on a text with names in it; what a name stands for adds no level. */
export function publishedLevels(parts: readonly TextPart[]): readonly TopicLevel[] {
  const text = parts.map((part) => (part.type === 'Text' ? part.text : NAMED)).join('');
  return text
    .split('/')
    .map((level): TopicLevel => (level.includes(NAMED) ? { type: 'Any' } : { type: 'Text', text: level }));
}

/** Whether some topic is matched by both templates. */
export function topicsOverlap(a: readonly TopicLevel[], b: readonly TopicLevel[]): boolean {
  for (let index = 0; ; index++) {
    const [left, right] = [a[index], b[index]];
    if (left?.type === 'Rest' || right?.type === 'Rest') return true;
    if (left === undefined || right === undefined) return left === right;
    if (left.type === 'Text' && right.type === 'Text' && left.text !== right.text) return false;
  }
}
