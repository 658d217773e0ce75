import { TributaryError } from '@tributary/proto';

import { requireDuration } from '../duration.js';
import { conditionStatus, readObject, text, type ShownObject } from '../objects.js';
import { startProgress, type Progress } from '../output/progress.js';
import { requireReference } from '../reference.js';
import type { Session } from '../session.js';
import { watchObjects } from '../watch.js';

export interface WaitOptions {
  /** condition=Complete, condition=Ready=False, or delete. */
  readonly for: string;
  readonly timeout: string;
}

/**
 * Waits until an object has a condition. Ends with the error of the job where it failed while something else was
 * awaited, and with DEADLINE_EXCEEDED after the timeout.
 */
export async function wait(
  session: Session,
  first: string,
  second: string | undefined,
  options: WaitOptions,
): Promise<void> {
  const reference = requireReference(first, second);
  const goal = requireGoal(options.for);
  const seconds = requireDuration(options.timeout, '--timeout');
  const timeout = AbortSignal.timeout(seconds * 1000);
  const limited: Session = { ...session, signal: AbortSignal.any([session.signal, timeout]) };
  let progress: Progress | undefined;
  try {
    for await (const event of watchObjects(limited, reference.kind, reference.name)) {
      if (event.type === 'DELETED' && goal.type === 'delete') return session.terminal.out(`${first} deleted`);
      if (event.object === null) continue;
      const object = readObject(event.object);
      progress ??= startProgress(
        session.terminal,
        reference.name,
        Number(text(object.document, ['spec', 'rounds'], '0')),
        'rounds',
      );
      progress.update(Number(text(object.document, ['status', 'currentRound'], '0')));
      if (goal.type === 'delete') continue;
      if (reached(object, goal)) {
        progress.stop();
        return session.terminal.out(`${reference.kind.toLowerCase()}/${reference.name} condition met`);
      }
      requireHope(object);
    }
  } finally {
    progress?.stop();
  }
  if (timeout.aborted) {
    throw new TributaryError(
      'DEADLINE_EXCEEDED',
      `${reference.name}: ${options.for} not reached within ${options.timeout}`,
      {
        hint: `tributary describe ${reference.kind}/${reference.name} shows why`,
      },
    );
  }
}

interface Goal {
  readonly type: string;
  readonly status: string;
}

function requireGoal(value: string): Goal {
  if (value === 'delete') return { type: 'delete', status: '' };
  const [keyword, type, status = 'True', ...rest] = value.split('=');
  if (keyword !== 'condition' || type === undefined || type === '' || rest.length > 0) {
    throw new TributaryError(
      'USAGE',
      `--for: ${value} is neither condition=TYPE, condition=TYPE=STATUS nor delete`,
    );
  }
  return { type, status };
}

const reached = (object: ShownObject, goal: Goal): boolean =>
  conditionStatus(object.document, goal.type)?.toLowerCase() === goal.status.toLowerCase();

/** A job that has ended will not reach anything any more. */
function requireHope(object: ShownObject): void {
  if (conditionStatus(object.document, 'Failed') === 'True') {
    const reason = text(object.document, ['status', 'lastFailureInfo', 'detail'], 'the job failed');
    throw new TributaryError('CONFLICT', `${object.name}: ${reason}`, {
      hint: `tributary describe fj/${object.name}`,
    });
  }
  if (conditionStatus(object.document, 'Complete') === 'True')
    throw new TributaryError('CONFLICT', `${object.name} is complete already`);
}
