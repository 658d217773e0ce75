/** A result of a pipeline, as its subscribers read it. */
export interface Answer {
  /** The same whenever the same input is answered again. */
  readonly decisionId: string;
  readonly window: { readonly startMs: number; readonly endMs: number };
  readonly model: string;
  readonly version: number;
  readonly score: number;
}

/** Throws where it is none. */
export function readAnswer(payload: Uint8Array): Answer {
  const { decisionId, window, model, version, score } = JSON.parse(
    Buffer.from(payload).toString(),
  ) as Partial<Answer>;
  if (decisionId === undefined || window === undefined || model === undefined || version === undefined)
    throw new Error('a result lacks its decision id, window, model or version');
  if (typeof score !== 'number') throw new Error('a result lacks its score');
  return { decisionId, window, model, version, score };
}
