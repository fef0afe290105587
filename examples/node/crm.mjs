// node crm.mjs send     publishes one mail, and ends when the broker has confirmed it
// node crm.mjs listen   takes what the router tells, and says what is new
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const connection = await amqp.connect(process.env.MAILROUTER_AMQP_URL);

async function send() {
  const event = {
    specversion: "1.0",
    id: randomUUID(),
    source: "/crm/node",
    type: "crm.email.send.v1",
    time: new Date().toISOString(),
    data: {
      email_id: "from-node",
      from: { address: "desk@contoso.example" },
      to: [{ address: "x+reply@customer.example" }],
      subject: "Good morning",
      body: { text: "How are you?" },
    },
  };
  const channel = await connection.createConfirmChannel();
  let returned = false;
  channel.on("return", () => (returned = true)); // comes before the confirm
  channel.publish("crm.mail", "email.send", Buffer.from(JSON.stringify(event)), {
    contentType: "application/cloudevents+json",
    messageId: event.id,
    persistent: true,
    mandatory: true,
  });
  await channel.waitForConfirms(); // on any error publish the same event again: one mail leaves
  if (returned) throw new Error("no queue takes the event: has a worker, or `mailrouter topology declare`, run here?");
  await connection.close();
}

const seen = new Set(); // in a CRM: a column with a unique index, written together with what the event changes
const states = new Map(); // of each e-mail, and when it came to be in it

function store(event) {
  if (seen.has(event.id)) return;
  seen.add(event.id);
  const state = event.type.split(".")[2];
  if (state === "received") {
    console.log(`received ${event.data.subject}: answers ${event.data.correlation.email_id}`);
  } else if (state !== "bounced") {
    const { email_id, occurred_at: at } = event.data; // UTC, and of one length: texts compare as times do
    const known = states.get(email_id) ?? { state: "", at: "" };
    if (known.state === "accepted" || (state !== "accepted" && at < known.at)) return; // accepted is for good
    states.set(email_id, { state, at });
    console.log(`${email_id} ${state}`);
  }
}

async function listen() {
  const channel = await connection.createChannel();
  await channel.prefetch(100);
  for (const queue of ["crm.mail.status", "crm.mail.inbound"]) {
    await channel.consume(queue, (message) => {
      store(JSON.parse(message.content.toString()));
      channel.ack(message); // after it is stored: what was not acked comes again
    });
  }
}

await { send, listen }[process.argv[2]]();
