// What `helm test` runs: the agent serves metrics and is connected to its coordinator, within two minutes.
import { setTimeout as sleep } from 'node:timers/promises';

const [metrics] = process.argv.slice(1);
const end = Date.now() + 120_000;
for (;;) {
  const text = await fetch(metrics, { signal: AbortSignal.timeout(10_000) }).then(
    (response) => response.text(),
    (error) => `# ${error.message}`,
  );
  if (/^tributary_agent_connected 1$/m.test(text)) break;
  const found = /^tributary_agent_connected 0$/m.test(text)
    ? 'is not connected, or not approved'
    : text.slice(0, 200);
  if (Date.now() > end) throw new Error(`${metrics}: the agent ${found}`);
  console.log(`waiting: ${found}`);
  await sleep(3_000);
}
console.log('the agent is connected');
