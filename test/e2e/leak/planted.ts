/** A value that only the site holds, and every form in which it might show elsewhere. */
export interface Needle {
  readonly value: string;
  readonly form: string;
  readonly bytes: Buffer;
}

/** A number of a cell, and what the job's features make of it. */
export interface PlantedNumber {
  readonly value: number;
  readonly derived: Readonly<Record<string, number>>;
}

/** Digits of a decimal text that are sought: what is rounded more than that tells little. */
const DIGITS = 8;

/** Forms of a text: in three encodings, each as it is, in hexadecimal, and in base64 at each alignment. */
export function textNeedles(text: string): Needle[] {
  const utf16 = Buffer.from(text, 'utf16le');
  const encodings: readonly (readonly [string, Buffer])[] = [
    ['UTF-8', Buffer.from(text)],
    ['UTF-16LE', utf16],
    ['UTF-16BE', Buffer.from(utf16).swap16()],
  ];
  return encodings.flatMap(([encoding, bytes]) => [
    { value: text, form: encoding, bytes },
    { value: text, form: `${encoding} in hexadecimal`, bytes: Buffer.from(bytes.toString('hex')) },
    ...base64Forms(bytes).map(([form, needle]) => ({
      value: text,
      form: `${encoding} in ${form}`,
      bytes: needle,
    })),
  ]);
}

/** Forms of a number: raw and derived, as decimal text and as float32 and float64 in both byte orders. */
export function numberNeedles({ value, derived }: PlantedNumber): Needle[] {
  return Object.entries({ raw: value, ...derived }).flatMap(([name, form]) => [
    ...textNeedles(decimal(form)).map((needle) => ({
      ...needle,
      form: `${name} as decimal in ${needle.form}`,
    })),
    ...floatNeedles(form).map(([kind, bytes]) => ({
      value: String(value),
      form: `${name} as ${kind}`,
      bytes,
    })),
    ...floatNeedles(form).flatMap(([kind, bytes]) =>
      bytes.length < 8
        ? []
        : base64Forms(bytes).map(([base64, needle]) => ({
            value: String(value),
            form: `${name} as ${kind} in ${base64}`,
            bytes: needle,
          })),
    ),
  ]);
}

function decimal(value: number): string {
  return value.toPrecision(17).slice(0, DIGITS + 1);
}

function floatNeedles(value: number): (readonly [string, Buffer])[] {
  const [f32, f64] = [Buffer.alloc(4), Buffer.alloc(8)];
  f32.writeFloatLE(value);
  f64.writeDoubleLE(value);
  const rounded = Buffer.alloc(8);
  rounded.writeDoubleLE(Math.fround(value));
  return [
    ['float32 LE', f32],
    ['float32 BE', Buffer.from(f32).reverse()],
    ['float64 LE', f64],
    ['float64 BE', Buffer.from(f64).reverse()],
    ['float64 LE of float32', rounded],
    ['float64 BE of float32', Buffer.from(rounded).reverse()],
  ];
}

/** The characters of base64 that depend on these bytes alone, whatever is before and after them. */
function base64Forms(bytes: Buffer): (readonly [string, Buffer])[] {
  return [0, 1, 2].flatMap((shift): (readonly [string, Buffer])[] => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    const inner = text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6));
    const url = inner.replaceAll('+', '-').replaceAll('/', '_');
    const plain: readonly [string, Buffer] = [`base64 at ${String(shift)}`, Buffer.from(inner)];
    return url === inner ? [plain] : [plain, [`base64url at ${String(shift)}`, Buffer.from(url)]];
  });
}

/** Something that is outside of the site, by name. */
export interface Evidence {
  readonly place: string;
  readonly bytes: Buffer;
  /** Encrypted, with its plaintext among the evidence: what is sought here may only stand there as it is. */
  readonly ciphertext?: true;
}

/** Where which needle was found. */
export function search(evidence: readonly Evidence[], needles: readonly Needle[]): string[] {
  return evidence.flatMap(({ place, bytes }) =>
    needles
      .filter((needle) => bytes.includes(needle.bytes))
      .map(({ value, form }) => `${place}: ${value} (${form})`),
  );
}

/** Elements of an opened update that are a planted number, as they are or freed from the site's weight. */
export function searchVector(
  place: string,
  vector: Float32Array,
  weight: number,
  numbers: readonly PlantedNumber[],
): string[] {
  const close = (element: number, wanted: number): boolean =>
    Math.abs(element - wanted) <= 1e-6 * Math.abs(wanted);
  return numbers.flatMap(({ value, derived }) =>
    Object.entries({ raw: value, ...derived }).flatMap(([name, form]) =>
      [...vector].flatMap((element, index) =>
        close(element, form) || close(element / weight, form)
          ? [`${place}[${String(index)}]: ${String(value)} (${name})`]
          : [],
      ),
    ),
  );
}
