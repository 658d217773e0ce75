import { readFile } from 'node:fs/promises';

import { canonicalize, digestOf, LIMITS, parseSitePolicy, TributaryError } from '@tributary/proto';
import { parse } from 'yaml';

import type { PolicySource } from '../../app/policy-source.js';
import { fileError } from './file-error.js';

/** The policy in a YAML file. A missing file is no policy; one that cannot be read or parsed is an error. */
export function policyFile(path: string | undefined): PolicySource {
  return {
    async read() {
      const text = path === undefined ? undefined : await readText(path);
      if (text === undefined) return undefined;
      const policy = parseSitePolicy(parseYaml(text));
      return { spec: policy.spec, digest: digestOf(canonicalize(policy)) };
    },
  };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path);
    if (bytes.length > LIMITS.documentBytes)
      throw new TributaryError(
        'LIMIT_EXCEEDED',
        `${path}: a policy has at most ${String(LIMITS.documentBytes)} bytes`,
      );
    return bytes.toString('utf8');
  } catch (error) {
    const known = fileError(error, path);
    if (known.code === 'NOT_FOUND') return undefined;
    throw known;
  }
}

function parseYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    // The first line of a YAML error says what and where; the rest quotes the file.
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new TributaryError('DOCUMENT_INVALID', `the policy is not YAML: ${reason}`, { cause });
  }
}
