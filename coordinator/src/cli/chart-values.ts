import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isJsonObject, TributaryError, type JsonObject, type JsonValue } from '@tributary/proto';
import { parse } from 'yaml';
import { z } from 'zod';

import { contradictions } from './chart-contradictions.js';

/**
 * Holds values against the schema of a chart, laid over its defaults as helm does, and against what its templates refuse
 * beyond that. Rejects with USAGE naming each field.
 */
export async function requireValues(folder: string, values: JsonObject): Promise<void> {
  const [defaults, schema] = await Promise.all([
    chartFile(folder, 'values.yaml', (text) => parse(text) as JsonValue),
    chartFile(folder, 'values.schema.json', (text) => JSON.parse(text) as JsonValue),
  ]);
  const merged = over(defaults, values);
  const parsed = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(merged);
  const problems = parsed.success
    ? contradictions(merged)
    : parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  if (problems.length > 0) throw new TributaryError('USAGE', `--values: ${problems.join('; ')}`);
}

/** Maps are merged, everything else is replaced, and null takes a default away. */
function over(below: JsonValue, above: JsonValue): JsonValue {
  if (!isJsonObject(below) || !isJsonObject(above)) return above;
  const merged = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above))
    if (value === null || value === undefined) merged.delete(name);
    else merged.set(name, over(merged.get(name) ?? null, value));
  return Object.fromEntries(merged);
}

async function chartFile<T>(folder: string, name: string, read: (text: string) => T): Promise<T> {
  try {
    return read(await readFile(join(folder, name), 'utf8'));
  } catch (cause) {
    throw new TributaryError('USAGE', `--chart: ${join(folder, name)} cannot be read`, { cause });
  }
}
