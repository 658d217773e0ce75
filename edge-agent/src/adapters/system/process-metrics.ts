import { metric } from '../../app/status.js';

/** What the process takes, under the names that Prometheus clients use (text format 0.0.4). */
export function processMetrics(): string {
  const { user, system } = process.cpuUsage();
  const startedAt = Math.round(Date.now() / 1_000 - process.uptime());
  return [
    ...metric('process_cpu_seconds_total', 'counter', 'Processor time, in user and kernel mode.', [
      ['', (user + system) / 1e6],
    ]),
    ...metric('process_resident_memory_bytes', 'gauge', 'Resident memory.', [
      ['', process.memoryUsage.rss()],
    ]),
    ...metric('process_start_time_seconds', 'gauge', 'Start of the process, seconds since 1970.', [
      ['', startedAt],
    ]),
    '',
  ].join('\n');
}
