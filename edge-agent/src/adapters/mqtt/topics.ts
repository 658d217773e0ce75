import { TributaryError } from '@tributary/proto';

const MAX_BYTES = 0xffff;

/** Throws INVALID_ARGUMENT for what is no topic name (OASIS MQTT 5.0, 4.7). */
export function requireTopic(topic: string): void {
  if (/[+#]/.test(topic)) throw invalid('a topic to publish to holds no wildcard');
  requireText(topic);
}

/** Throws INVALID_ARGUMENT for what is no topic filter, or no name of a group (OASIS MQTT 5.0, 4.7 and 4.8.2). */
export function requireFilter(filter: string, share: string | undefined): void {
  const levels = filter.split('/');
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level)))
    throw invalid('+ and # stand for whole levels of a topic');
  if (levels.slice(0, -1).includes('#')) throw invalid('# is the last level of a topic');
  if (share !== undefined && !/^[^+#/]+$/.test(share))
    throw invalid('the name of a group holds none of + # /');
  requireText(wireFilter(filter, share));
}

/** The filter as it is sent. */
export const wireFilter = (filter: string, share: string | undefined): string =>
  share === undefined ? filter : `$share/${share}/${filter}`;

/** Wildcards do not match topics that begin with $ at their first level (OASIS MQTT 5.0, 4.7.2). */
export function matchesFilter(filter: string, topic: string): boolean {
  const [levels, parts] = [filter.split('/'), topic.split('/')];
  if (topic.startsWith('$') && !filter.startsWith('$')) return false;
  for (const [index, level] of levels.entries()) {
    if (level === '#') return true;
    const part = parts[index];
    if (part === undefined || (level !== '+' && level !== part)) return false;
  }
  return parts.length === levels.length;
}

function requireText(text: string): void {
  if (text === '' || text.includes('\0') || Buffer.byteLength(text) > MAX_BYTES)
    throw invalid('a topic has 1 to 65,535 bytes and no null character');
}

const invalid = (fix: string): TributaryError => new TributaryError('INVALID_ARGUMENT', `topic: ${fix}`);
