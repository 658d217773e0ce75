import { parseTopicTemplate, TributaryError, type TopicLevel } from '@tributary/proto';

export type Captures = Readonly<Record<string, string>>;

/** What a topic matches: its captures, or undefined. */
export type TopicMatcher = (topic: string) => Captures | undefined;

/**
 * Compiles topic templates; the first that matches counts. Topics that begin with $ are matched by no wildcard at their
 * first level (OASIS MQTT 5.0, 4.7.2). Throws DOCUMENT_INVALID for what is no template, which documents have checked.
 */
export function compileTopics(templates: readonly string[]): TopicMatcher {
  const compiled = templates.map((template) => {
    const levels = parseTopicTemplate(template);
    if (typeof levels === 'string') throw new TributaryError('DOCUMENT_INVALID', `topic: ${levels}`);
    return levels;
  });
  return (topic) => {
    const parts = topic.split('/');
    for (const levels of compiled) {
      const captures = match(levels, parts);
      if (captures !== undefined) return captures;
    }
    return undefined;
  };
}

function match(levels: readonly TopicLevel[], parts: readonly string[]): Captures | undefined {
  if (parts[0]?.startsWith('$') === true && levels[0]?.type !== 'Text') return undefined;
  const captures: Record<string, string> = {};
  let index = 0;
  for (const level of levels) {
    if (level.type === 'Rest') return captures;
    const part = parts[index++];
    if (part === undefined || (level.type === 'Text' && level.text !== part)) return undefined;
    if (level.type === 'Capture') captures[level.name] = part;
  }
  return parts.length === levels.length ? captures : undefined;
}
