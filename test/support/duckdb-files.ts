import { DuckDBInstance } from '@duckdb/node-api';

/** Runs SQL in a database of its own, which may write files: for what tests read. */
export async function runSql(sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await connection.run(sql);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
