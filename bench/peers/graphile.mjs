// Graphile Worker as its documentation tunes it for throughput: a local queue that fetches many
// jobs at once, completions in batches, many jobs at a time.
//   node graphile.mjs migrate   installs its schema
//   node graphile.mjs run       one POST for each job of the task "post", until SIGTERM
// MODE=latency leaves out what trades latency for throughput. The database is libpq's PGHOST etc.
import { Logger, run, runMigrations } from "graphile-worker";
import pg from "pg";
import { post, ready, settings } from "./lib.mjs";

const latency = process.env.MODE === "latency";
const pgPool = new pg.Pool({ max: settings.concurrency + 2 });
const report = (error) => console.error(error.message);
pgPool.on("error", report);
pgPool.on("connect", (client) => client.on("error", report));
const logger = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});

if (process.argv[2] === "migrate") {
  await runMigrations({ pgPool, logger });
  await pgPool.end();
} else {
  const runner = await run({
    pgPool,
    logger,
    taskList: { post: (payload, helpers) => post(String(helpers.job.id), payload) },
    crontab: "",
    preset: {
      worker: {
        concurrentJobs: settings.concurrency,
        maxPoolSize: settings.concurrency + 2,
        ...(latency
          ? {}
          : {
              localQueue: { size: settings.batch },
              completeJobBatchDelay: Number(process.env.COMPLETE_DELAY ?? 0),
              failJobBatchDelay: 250,
            }),
      },
    },
  });
  ready();
  await runner.promise;
}
