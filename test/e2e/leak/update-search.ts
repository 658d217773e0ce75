import { DecimalIndex, decodings } from './decodings.js';
import { numberNeedles, search, textNeedles, type Evidence, type Needle } from './planted.js';
import { ProportionIndex } from './proportion-index.js';
import type { TrueUpdate } from './site-records.js';
import { floatForms, WindowIndex, wordForms } from './window-index.js';

/** Needles that are shorter are found by chance in so many bytes. */
const NEEDLE_BYTES = 8;
/** A figure with fewer digits may be anybody's. */
const FIGURE_DIGITS = 8;
/** Beside a digit or a letter it is a part of something else. */
const COUNT_EDGE = '[^0-9A-Za-z+/_.-]';

/** Searches for anything that single updates are made of. */
export class UpdateSearch {
  readonly #windows: WindowIndex;
  readonly #proportions: ProportionIndex;
  readonly #decimals: DecimalIndex;
  readonly #figures: readonly Needle[];
  readonly #counts: readonly (readonly [string, RegExp])[];

  constructor(updates: readonly TrueUpdate[]) {
    this.#windows = new WindowIndex(updates.flatMap(formsOf));
    const vectors = updates.flatMap(({ delta, vector, ...update }) => [
      { name: nameOf(update, 'delta'), values: delta },
      { name: nameOf(update, 'weighted vector'), values: vector },
    ]);
    this.#decimals = new DecimalIndex(vectors);
    // Weighted or not is all one to it.
    this.#proportions = new ProportionIndex(vectors.filter((_, index) => index % 2 === 0));
    this.#figures = updates.flatMap(figureNeedles);
    this.#counts = updates.flatMap(countPatterns);
  }

  /** How much is sought: a search for nothing finds nothing. */
  get size(): { readonly windows: number; readonly proportions: number; readonly figures: number } {
    return {
      windows: this.#windows.size,
      proportions: this.#proportions.size,
      figures: this.#figures.length + this.#counts.length,
    };
  }

  /** Vectors, wherever they are. */
  vectors(evidence: readonly Evidence[]): string[] {
    return evidence.flatMap((one) => [
      ...(one.ciphertext === true ? [] : [...this.#proportions.find(one), ...this.#decimals.find(one)]),
      ...decodings(one).flatMap((decoded) => this.#windows.find(decoded)),
    ]);
  }

  /** Losses, metrics, and counts of rows, in what is not encrypted. */
  figures(evidence: readonly Evidence[]): string[] {
    const counts = evidence.flatMap(({ place, bytes }) => {
      const text = bytes.toString('latin1');
      return this.#counts.flatMap(([name, pattern]) => (pattern.test(text) ? [`${place}: ${name}`] : []));
    });
    return [...search(evidence, this.#figures), ...counts];
  }
}

/** The needles among these that say something where they are found in megabytes. */
export const longNeedles = (needles: readonly Needle[]): readonly Needle[] =>
  needles.filter(({ bytes }) => bytes.length >= NEEDLE_BYTES);

const nameOf = ({ site, key }: Pick<TrueUpdate, 'site' | 'key'>, what: string): string =>
  `${site} in ${key}: ${what}`;

function formsOf(update: TrueUpdate) {
  const { delta, vector, words } = update;
  return [
    ...floatForms(nameOf(update, 'delta'), delta),
    ...floatForms(nameOf(update, 'weighted vector'), vector),
    ...(words === undefined
      ? []
      : [
          ...wordForms(nameOf(update, 'words'), words.bare),
          ...wordForms(nameOf(update, 'words under the self mask alone'), words.selfMasked),
          ...wordForms(nameOf(update, 'words under pair masks alone'), words.pairMasked),
        ]),
  ];
}

/** Losses, metrics and variances, as they are and weighted. */
function figureNeedles(update: TrueUpdate): readonly Needle[] {
  const { item, vector, delta } = update;
  const groups = item.evaluation?.groups ?? [];
  const figures = [
    item.loss,
    ...item.metricValues,
    ...groups.flatMap(({ values, variances = [] }) => [...values, ...variances]),
    ...vector.subarray(delta.length),
  ];
  const telling = figures.filter(
    (figure): figure is number => figure !== null && String(figure).length > FIGURE_DIGITS,
  );
  return longNeedles(
    [...new Set(telling)].flatMap((value) =>
      numberNeedles({ value, derived: {} }).map((needle) => ({
        ...needle,
        value: nameOf(update, needle.value),
      })),
    ),
  );
}

function countPatterns(update: TrueUpdate): (readonly [string, RegExp])[] {
  const { item } = update;
  const counts = new Set([item.trainExamples, item.testExamples, item.trainExamples + item.testExamples]);
  return [...counts]
    .filter((count) => count > 999)
    .map((count) => [
      nameOf(update, `${String(count)} rows`),
      new RegExp(`${COUNT_EDGE}${String(count)}${COUNT_EDGE}`),
    ]);
}

/** Needles of texts, long enough to be sought everywhere. */
export const longTexts = (...texts: readonly string[]): readonly Needle[] =>
  longNeedles(texts.flatMap(textNeedles));
