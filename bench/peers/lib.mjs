// What both peers share: their settings from the environment, and one HTTP POST on kept-alive
// connections with undici, the fastest HTTP client for Node.js.
import { Pool } from "undici";

export const settings = {
  url: new URL(process.env.TARGET_URL),
  concurrency: Number(process.env.CONCURRENCY ?? 32),
  batch: Number(process.env.BATCH ?? 500), // jobs fetched at once
  workers: Number(process.env.WORKERS ?? 2), // pg-boss: those that fetch
};

const pool = new Pool(settings.url.origin, { connections: settings.concurrency, pipelining: 1 });

// Resolves when the receiver has answered 2xx, throws otherwise.
export async function post(id, payload) {
  const { statusCode, body } = await pool.request({
    path: settings.url.pathname,
    method: "POST",
    headers: { "content-type": "application/json", "webhook-id": id },
    body: JSON.stringify(payload),
  });
  await body.dump();
  if (statusCode < 200 || statusCode > 299) throw new Error(`HTTP ${statusCode}`);
}

// The harness waits for this line.
export function ready() {
  console.log("ready");
}
