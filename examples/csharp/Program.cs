// dotnet run send     publishes one mail, and ends when the broker has confirmed it
// dotnet run listen   takes what the router tells, and says what is new
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

var url = Environment.GetEnvironmentVariable("MAILROUTER_AMQP_URL")!;
var factory = new ConnectionFactory { Uri = new Uri(url) };
await using var connection = await factory.CreateConnectionAsync();
// With both, BasicPublishAsync returns when the broker has confirmed, and throws where it refuses or returns the event.
var confirmed = new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true);
await using var channel = await connection.CreateChannelAsync(confirmed);
await (args[0] == "send" ? Send() : Listen());

async Task Send()
{
    var id = Guid.NewGuid().ToString();
    var body = JsonSerializer.SerializeToUtf8Bytes(new
    {
        specversion = "1.0",
        id,
        source = "/crm/dotnet",
        type = "crm.email.send.v1",
        time = DateTimeOffset.UtcNow,
        data = new
        {
            email_id = "from-dotnet",
            from = new { address = "desk@contoso.example" },
            to = new[] { new { address = "x+reply@customer.example" } },
            subject = "Good morning",
            body = new { text = "How are you?" },
        },
    });
    var properties = new BasicProperties
    {
        ContentType = "application/cloudevents+json",
        MessageId = id,
        Persistent = true,
    };
    // On any exception publish the same event again: one mail leaves.
    await channel.BasicPublishAsync("crm.mail", "email.send", mandatory: true, properties, body);
}

async Task Listen()
{
    var seen = new HashSet<string>(); // in a CRM: a column with a unique index, written with what the event changes
    var states = new Dictionary<string, (string State, string At)>(); // of each e-mail, and when it came to be in it
    await channel.BasicQosAsync(prefetchSize: 0, prefetchCount: 100, global: false);
    var consumer = new AsyncEventingBasicConsumer(channel);
    consumer.ReceivedAsync += async (_, delivery) =>
    {
        using var document = JsonDocument.Parse(delivery.Body);
        var (told, data) = (document.RootElement, document.RootElement.GetProperty("data"));
        if (seen.Add(told.GetProperty("id").GetString()!))
        {
            var state = told.GetProperty("type").GetString()!.Split('.')[2];
            if (state == "received")
            {
                Console.WriteLine($"received {data.GetProperty("subject").GetString()}");
            }
            else if (state != "bounced")
            {
                var email = data.GetProperty("email_id").GetString()!;
                var at = data.GetProperty("occurred_at").GetString()!; // UTC, and of one length: texts compare as times do
                var known = states.GetValueOrDefault(email, (State: "", At: ""));
                var late = state != "accepted" && string.CompareOrdinal(at, known.At) < 0;
                if (known.State != "accepted" && !late) // accepted is for good
                {
                    states[email] = (state, at);
                    Console.WriteLine($"{email} {state}");
                }
            }
        }
        await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false); // after it is stored
    };
    foreach (var queue in new[] { "crm.mail.status", "crm.mail.inbound" })
    {
        await channel.BasicConsumeAsync(queue, autoAck: false, consumer);
    }
    await Task.Delay(Timeout.Infinite);
}
