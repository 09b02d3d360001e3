// pg-boss with what it offers for throughput: workers that fetch batches, fetch again at once as
// long as they come back full, and complete a batch with one statement.
//   node pgboss.mjs migrate      installs its schema and makes the queue "post"
//   node pgboss.mjs load COUNT   queues the same payloads as the others get
//   node pgboss.mjs run          one POST for each job of that queue, until SIGTERM
// The database is libpq's PGHOST etc.
import { PgBoss } from "pg-boss";
import pg from "pg";
import { post, ready, settings } from "./lib.mjs";

const QUEUE = "post";
const LOAD_AT_ONCE = 2000;

const boss = new PgBoss({
  host: process.env.PGHOST,
  user: process.env.PGUSER,
  database: process.env.PGDATABASE,
  max: settings.workers + 4,
  schedule: false,
});
boss.on("error", (error) => console.error(error.message));
await boss.start();

async function load(count) {
  const client = new pg.Client();
  await client.connect();
  for (let first = 1; first <= count; first += LOAD_AT_ONCE) {
    const last = Math.min(count, first + LOAD_AT_ONCE - 1);
    const { rows } = await client.query(
      "select bench.payload(n) as data from generate_series($1::bigint, $2::bigint) n",
      [first, last],
    );
    await boss.insert(QUEUE, rows);
  }
  await client.end();
}

switch (process.argv[2]) {
  case "migrate":
    await boss.createQueue(QUEUE);
    await boss.stop();
    break;
  case "load":
    await load(Number(process.argv[3]));
    await boss.stop();
    break;
  default:
    await boss.work(
      QUEUE,
      {
        batchSize: settings.batch,
        pollingIntervalSeconds: 0.5,
        localConcurrency: settings.workers,
        burstWhenBatchFull: true,
      },
      (jobs) => Promise.all(jobs.map((job) => post(job.id, job.data))),
    );
    process.on("SIGTERM", () => boss.stop({ timeout: 5000 }).then(() => process.exit(0)));
    ready();
}
