import { stringify } from 'yaml';

import { TributaryError } from '@tributary/proto';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export function requireFormat(value: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((known) => known === value);
  if (format !== undefined) return format;
  throw new TributaryError('USAGE', `--output: ${value} is not one of ${OUTPUT_FORMATS.join(', ')}`);
}

/** Text of a value as JSON (indented, one document) or YAML. */
export function formatValue(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? JSON.stringify(value, null, 2) : stringify(value).trimEnd();
}
