import type { Evidence } from './planted.js';

const BASE64_RUN = /[A-Za-z0-9+/_-]{16,}/g;
const HEX_RUN = /[0-9a-fA-F]{16,}/g;
const DECIMAL = /-?(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)/g;

/** Text in base64 may hold text in base64: what is signed lies so in what is stored. */
const DEPTH = 2;

/** The bytes, and what text in them says in base64 or hexadecimal, wherever a whole byte of it may begin. */
export function decodings(evidence: Evidence, depth = DEPTH): Evidence[] {
  if (depth === 0) return [evidence];
  const { place, bytes } = evidence;
  const text = bytes.toString('latin1');
  const runs = [
    ...[...text.matchAll(BASE64_RUN)].flatMap(([run]) =>
      [0, 1, 2, 3].map((shift) => ['base64', run.slice(shift)] as const),
    ),
    ...[...text.matchAll(HEX_RUN)].flatMap(([run]) =>
      [0, 1].map((shift) => ['hex', run.slice(shift)] as const),
    ),
  ];
  return [
    evidence,
    ...runs.flatMap(([encoding, run]) =>
      decodings({ place: `${place}, in ${encoding}`, bytes: Buffer.from(run, encoding) }, depth - 1),
    ),
  ];
}

/** Significant digits that decimals are compared in. */
const DIGITS = 5;
/** So many elements after each other, in decimals that follow each other, are no accident. */
const RUN = 3;

/** Vectors that are written out as decimal text. */
export class DecimalIndex {
  readonly #follows = new Map<string, { readonly name: string; readonly at: number }>();
  readonly #vectors: readonly (readonly [string, readonly string[]])[];

  constructor(vectors: readonly { readonly name: string; readonly values: Float32Array }[]) {
    this.#vectors = vectors.map(({ name, values }) => [name, [...values].map(rounded)]);
    for (const [name, texts] of this.#vectors)
      texts.slice(RUN - 1).forEach((_, at) => {
        const run = texts.slice(at, at + RUN);
        if (new Set(run).size === RUN) this.#follows.set(run.join(), { name, at });
      });
  }

  find({ place, bytes }: Evidence): string[] {
    const texts = [...bytes.toString('latin1').matchAll(DECIMAL)].map(([text]) => rounded(Number(text)));
    const found = new Set<string>();
    texts.slice(RUN - 1).forEach((_, at) => {
      const known = this.#follows.get(texts.slice(at, at + RUN).join());
      if (known !== undefined) found.add(`${place}: ${known.name} in decimals`);
    });
    return [...found];
  }
}

const rounded = (value: number): string => value.toPrecision(DIGITS);
