/** Before or after a call. */
export const SIDES = ['before', 'after'] as const;
export type Side = (typeof SIDES)[number];

/** One call at which a process is to end. */
export interface Target {
  readonly side: Side;
  /** Which of the calls of that name since the process started: 1 is the first. */
  readonly which: number;
  readonly name: string;
}

/** The name of every call. */
export const ANY = '*';

/** What begins the last line of a process that ended at a target. */
export const KILLED = 'killed ';

export const targetText = ({ side, which, name }: Target): string => `${side}:${String(which)}:${name}`;

/** Reads targets that are separated by commas; throws for what is none. */
export function parseTargets(text: string): readonly Target[] {
  return text.split(',').flatMap((part) => {
    if (part === '') return [];
    const [word = '', count = '', name = ''] = part.split(':');
    const [side, which] = [SIDES.find((one) => one === word), Number(count)];
    if (side === undefined || !(which >= 1) || name === '') throw new Error(`${part} is no call to end at`);
    return [{ side, which, name }];
  });
}
