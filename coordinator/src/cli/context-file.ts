import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';

import { requireFormat, TributaryError } from '@tributary/proto';
import { makeDirectory, writeDurably } from '@tributary/proto/node';
import { parse, stringify } from 'yaml';
import { z } from 'zod';

/** Newest layout of the file that this build reads and writes. */
const FORMAT_VERSION = 1;

/** How the `tributary` command reaches one federation, and as whom. */
const context = z
  .strictObject({
    name: z.string().min(1),
    /** host:port of the admin listener, or unix:/path/to/admin.sock, which needs no certificate. */
    server: z.string().min(1),
    /** PEM. */
    ca: z.string().optional(),
    /** PEM. */
    certificate: z.string().optional(),
    /** PEM (PKCS #8), or the file that holds it. */
    key: z.string().optional(),
    keyFile: z.string().optional(),
  })
  .superRefine((value, check) => {
    if (value.server.startsWith('unix:')) return;
    if (
      value.ca === undefined ||
      value.certificate === undefined ||
      (value.key ?? value.keyFile) === undefined
    ) {
      check.addIssue({
        code: 'custom',
        message: 'a context with host:port needs ca, certificate, and key or keyFile',
      });
    }
  });

/** Someone who signs job documents. */
const author = z.strictObject({
  name: z.string().min(1),
  /** Base64 of the 32-byte Ed25519 seed. */
  seed: z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'base64 of 32 bytes'),
});

const contextFile = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  currentContext: z.string(),
  contexts: z.array(context),
  authors: z.array(author),
});

export type Context = z.infer<typeof context>;
export type Author = z.infer<typeof author>;
export type ContextFile = z.infer<typeof contextFile>;

/** What a file that does not exist yet holds. */
export const EMPTY_CONTEXT_FILE: ContextFile = {
  formatVersion: FORMAT_VERSION,
  currentContext: '',
  contexts: [],
  authors: [],
};

/** `path` if given, otherwise config.yaml in the folder .tributary of `home`. */
export function contextFilePath(path: string | undefined, home: string): string {
  return path === undefined || path === '' ? join(home, '.tributary', 'config.yaml') : resolve(path);
}

/**
 * Reads the file; a missing one is empty. Throws CONFIG_INVALID naming path and field, or naming its mode where others
 * may read it (it holds private keys), and FORMAT_UNSUPPORTED where a newer version wrote it.
 */
export async function readContextFile(path: string): Promise<ContextFile> {
  let text: string;
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0 && process.platform !== 'win32') {
      throw new TributaryError('CONFIG_INVALID', `${path}: others may read it`, {
        hint: `chmod 600 ${path}`,
      });
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY_CONTEXT_FILE;
    if (error instanceof TributaryError) throw error;
    throw new TributaryError('CONFIG_INVALID', `${path}: cannot be read`, { cause: error });
  }
  return parseContextFile(text, path);
}

/** Parses the text of a file; `path` is only named in errors. */
export function parseContextFile(text: string, path: string): ContextFile {
  let value: unknown;
  try {
    // Warnings would quote the text too; what matters of them shows as a field of the wrong form.
    value = parse(text, { maxAliasCount: 0, logLevel: 'error' });
  } catch {
    // The parser's message quotes the text around the fault, which may be a key.
    throw new TributaryError('CONFIG_INVALID', `${path}: not YAML`, {
      hint: 'restore the file, or remove it and add the contexts again',
    });
  }
  const { data: version } = z.looseObject({ formatVersion: z.int() }).safeParse(value);
  requireFormat(version?.formatVersion, path, FORMAT_VERSION);
  const parsed = contextFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TributaryError(
    'CONFIG_INVALID',
    `${path}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong form'}`,
  );
}

/** Replaces the file durably; only its owner may read it. */
export async function writeContextFile(path: string, content: ContextFile): Promise<void> {
  await makeDirectory(dirname(path));
  await writeDurably(path, [Buffer.from(stringify(content))]);
}

/** The file with `added` in it, replacing a context of the same name, and current. */
export function withContext(file: ContextFile, added: Context): ContextFile {
  const contexts = [...file.contexts.filter((known) => known.name !== added.name), added];
  return { ...file, currentContext: added.name, contexts };
}

/** Throws ALREADY_EXISTS where the file has a context called `name`: its key is in no other place. */
export function requireNewName({ contexts }: ContextFile, name: string): void {
  if (contexts.some((known) => known.name === name))
    throw new TributaryError('ALREADY_EXISTS', `a context named ${name} exists`);
}

/** The file with `added` among the authors; throws ALREADY_EXISTS where the name has another key. */
export function withAuthor(file: ContextFile, added: Author): ContextFile {
  const known = file.authors.find((candidate) => candidate.name === added.name);
  if (known === undefined) return { ...file, authors: [...file.authors, added] };
  if (known.seed === added.seed) return file;
  throw new TributaryError('ALREADY_EXISTS', `an author named ${added.name} exists with another key`);
}

/** The context called `name`, or the current one; throws CONFIG_INVALID that says how to get one. */
export function findContext(file: ContextFile, name: string | undefined): Context {
  const wanted = name ?? file.currentContext;
  const found = file.contexts.find((candidate) => candidate.name === wanted);
  if (found !== undefined) return found;
  const known = file.contexts.map((candidate) => candidate.name).join(', ');
  throw new TributaryError(
    'CONFIG_INVALID',
    wanted === '' ? 'no context is set' : `no context named ${wanted}`,
    {
      hint:
        known === ''
          ? 'run `tributary-coordinator init`, or name a file that has contexts with --config or TRIBUTARY_CONFIG'
          : `contexts of the file: ${known}`,
    },
  );
}

/** The context's private key as PEM, read from its file where it names one (relative to the context file). */
export async function readContextKey(entry: Context, path: string): Promise<string> {
  if (entry.key !== undefined) return entry.key;
  if (entry.keyFile === undefined)
    throw new TributaryError('CONFIG_INVALID', `context ${entry.name} has neither key nor keyFile`);
  const keyPath = isAbsolute(entry.keyFile) ? entry.keyFile : resolve(dirname(path), entry.keyFile);
  try {
    return await readFile(keyPath, 'utf8');
  } catch (cause) {
    throw new TributaryError(
      'CONFIG_INVALID',
      `${keyPath}: the key of context ${entry.name} cannot be read`,
      { cause },
    );
  }
}
