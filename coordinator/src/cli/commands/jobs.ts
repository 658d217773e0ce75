import type { Session } from '../session.js';

const ACTIONS = {
  suspend: { action: 'SUSPEND', done: 'suspended' },
  resume: { action: 'RESUME', done: 'resumed' },
  cancel: { action: 'CANCEL', done: 'cancelled' },
} as const;

export type JobAction = keyof typeof ACTIONS;

/** Suspends after the open round, resumes, or cancels a job at once. */
export async function controlJob(
  session: Session,
  action: JobAction,
  name: string,
  reason: string,
): Promise<void> {
  const admin = await session.admin();
  await admin.unary('ControlJob', {
    name: name.replace(/^fj\//, ''),
    action: ACTIONS[action].action,
    reason,
  });
  session.terminal.out(`federatedjob/${name.replace(/^fj\//, '')} ${ACTIONS[action].done}`);
}
