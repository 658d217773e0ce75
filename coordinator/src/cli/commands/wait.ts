import { isErrorCode, LIMITS, TributaryError, type ErrorCode } from '@tributary/proto';

import { requireDuration } from '../duration.js';
import { conditionStatus, conditionText, list, readObject, text, type ShownObject } from '../objects.js';
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
  if (!(await exists(session, reference))) {
    if (goal.type === 'delete') return session.terminal.out(`${first} deleted`);
    throw new TributaryError('NOT_FOUND', `no ${reference.kind} named ${reference.name}`, {
      hint: `tributary get ${reference.kind.toLowerCase()}`,
    });
  }
  const limited: Session = { ...session, signal: AbortSignal.any([session.signal, timeout]) };
  let progress: Progress | undefined;
  let quiet = false;
  const explaining = setInterval(() => {
    // The watch tells of a coordinator that is away.
    if (quiet && progress !== undefined) explain(session, reference, progress).catch(() => undefined);
    quiet = true;
  }, LIMITS.heartbeatIntervalMs);
  try {
    for await (const event of watchObjects(limited, reference.kind, reference.name)) {
      if (event.type === 'DELETED' && goal.type === 'delete') return session.terminal.out(`${first} deleted`);
      if (event.object === null) continue;
      const object = readObject(event.object);
      quiet = false;
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
      requireCondition(object, goal);
    }
  } finally {
    clearInterval(explaining);
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

/** A watch of a name that nothing bears would stay silent. */
async function exists(session: Session, reference: ReturnType<typeof requireReference>): Promise<boolean> {
  const admin = await session.admin();
  return admin.unary('GetObject', reference).then(
    () => true,
    (error: unknown) => {
      if (TributaryError.from(error).code === 'NOT_FOUND') return false;
      throw error;
    },
  );
}

/** Where nothing moves for a while, says what it is that the job waits for. */
async function explain(
  session: Session,
  reference: ReturnType<typeof requireReference>,
  progress: Progress,
): Promise<void> {
  const { document } = readObject(await (await session.admin()).unary('GetObject', reference));
  progress.update(
    Number(text(document, ['status', 'currentRound'], '0')),
    conditionText(document, 'Running', 'message') ?? conditionText(document, 'Ready', 'message') ?? '',
  );
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

/** A condition that the object does not have would be awaited for ever. */
function requireCondition({ document, kind }: ShownObject, { type }: Goal): void {
  const known = list(document, 'status', 'conditions').map((condition) => text(condition, ['type']));
  if (type === 'delete' || known.length === 0 || conditionStatus(document, type) !== undefined) return;
  throw new TributaryError('USAGE', `--for: a ${kind} has no condition ${type}`, {
    hint: `Conditions: ${known.join(', ')}`,
  });
}

const reached = (object: ShownObject, goal: Goal): boolean =>
  conditionStatus(object.document, goal.type)?.toLowerCase() === goal.status.toLowerCase();

/** A job that has ended will not reach anything any more. */
function requireHope(object: ShownObject): void {
  if (conditionStatus(object.document, 'Failed') === 'True') {
    const reason = text(object.document, ['status', 'lastFailureInfo', 'detail'], 'the job failed');
    throw new TributaryError(failureCode(object), `${object.name}: ${reason}`, {
      hint: `tributary describe fj/${object.name} shows what each site said`,
    });
  }
  if (conditionStatus(object.document, 'Complete') === 'True')
    throw new TributaryError('CONFLICT', `${object.name} is complete already`);
}

function failureCode({ document }: ShownObject): ErrorCode {
  const code = text(document, ['status', 'lastFailureInfo', 'code'], 'CONFLICT');
  return isErrorCode(code) ? code : 'CONFLICT';
}
