// Apache Kafka's Java client as a shim; ../README.md says what the lines mean.

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

final class Shim {
    private static final int UNIMPLEMENTED = 89;
    /** How long a consumer is asked for records before the end of the input is looked for. */
    private static final Duration POLL = Duration.ofMillis(100);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    public static void main(String[] arguments) throws Exception {
        // What logs must not get between the lines.
        System.setOut(System.err);
        switch (arguments.length == 0 ? "" : arguments[0]) {
            case "version" -> {
                say(object().put("client", "java").put("version", AppInfoParser.getVersion()));
                return;
            }
            case "produce" -> produce(line());
            case "consume-group" -> consume(line());
            case "admin" -> administrate(line());
            default -> unimplemented("there is no such operation");
        }
        say(object().put("done", true));
        System.exit(0);
    }

    // ---- produce

    private static void produce(JsonNode task) throws Exception {
        Properties settings = settings(task);
        settings.put("acks", task.path("acks").asText("all"));
        settings.put("compression.type", task.path("compression").asText("none"));
        settings.put("linger.ms", task.path("linger_ms").asText("5"));
        settings.put("request.timeout.ms", task.path("request_timeout_ms").asText("3000"));
        String limit = task.path("delivery_timeout_ms").asText("15000");
        settings.put("delivery.timeout.ms", limit);
        settings.put("max.block.ms", limit);
        if (task.path("idempotence").isBoolean()) {
            settings.put("enable.idempotence", task.get("idempotence").asText());
        }
        KafkaProducer<byte[], byte[]> producer;
        try {
            producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        } catch (KafkaException error) {
            // No client, so no record can be written: the suite wants to hear why.
            for (int number = 0; line() != null; number++) {
                say(object().put("record", number).set("error", failure(error)));
            }
            return;
        }
        JsonNode line;
        for (int number = 0; (line = line()) != null; number++) {
            CountDownLatch answered = send(producer, task, record(task, line), number);
            if (task.path("wait_each").asBoolean()) {
                answered.await();
            }
        }
        producer.close();
    }

    private static CountDownLatch send(
            KafkaProducer<byte[], byte[]> producer,
            JsonNode task,
            ProducerRecord<byte[], byte[]> record,
            int number) {
        CountDownLatch answered = new CountDownLatch(1);
        try {
            producer.send(record, (place, error) -> {
                ObjectNode answer = object().put("record", number);
                if (error == null) {
                    answer.put("partition", place.partition());
                    answer.put("offset", place.hasOffset() ? place.offset() : -1);
                } else {
                    answer.set("error", failure(error));
                }
                // `send` may both call back and throw: the record is answered once.
                synchronized (answered) {
                    if (answered.getCount() > 0) {
                        say(answer);
                        answered.countDown();
                    }
                }
            });
        } catch (KafkaException | IllegalArgumentException error) {
            synchronized (answered) {
                if (answered.getCount() > 0) {
                    say(object().put("record", number).set("error", failure(error)));
                    answered.countDown();
                }
            }
        }
        return answered;
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode task, JsonNode line)
            throws IOException {
        JsonNode partition = line.path("partition");
        JsonNode timestamp = line.path("timestamp");
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                task.get("topic").asText(),
                partition.isNumber() ? partition.asInt() : null,
                timestamp.isNumber() ? timestamp.asLong() : null,
                bytes(line.path("key")),
                bytes(line.path("value")));
        for (JsonNode header : line.path("headers")) {
            record.headers().add(header.get(0).asText(), bytes(header.get(1)));
        }
        return record;
    }

    // ---- consume-group

    private static void consume(JsonNode task) throws Exception {
        CountDownLatch ended = new CountDownLatch(1);
        Thread reader = new Thread(() -> {
            try {
                while (line() != null) {}
            } catch (IOException broken) {
                // As good as the end.
            }
            ended.countDown();
        });
        reader.setDaemon(true);
        reader.start();
        Properties settings = settings(task);
        settings.put("auto.offset.reset", task.path("offset_reset").asText("earliest"));
        settings.put("isolation.level", task.path("isolation").asText("read_uncommitted"));
        settings.put("session.timeout.ms", task.path("session_timeout_ms").asText("10000"));
        settings.put("enable.auto.commit", "false");
        boolean hasGroup = task.path("group").isTextual();
        if (hasGroup) {
            settings.put("group.id", task.get("group").asText());
        }
        try (var consumer = new KafkaConsumer<>(
                settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            start(consumer, task, hasGroup);
            Map<TopicPartition, OffsetAndMetadata> delivered = deliver(consumer, task, ended);
            if (hasGroup && task.path("commit").asBoolean(true) && !delivered.isEmpty()) {
                consumer.commitSync(delivered);
            }
        } catch (KafkaException error) {
            say(object().set("error", failure(error)));
        }
    }

    private static void start(
            KafkaConsumer<byte[], byte[]> consumer, JsonNode task, boolean hasGroup) {
        List<String> topics = new ArrayList<>();
        task.get("topics").forEach(topic -> topics.add(topic.asText()));
        if (hasGroup) {
            consumer.subscribe(topics, new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    sayPlaces("assigned", partitions);
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    sayPlaces("revoked", partitions);
                }
            });
            return;
        }
        List<TopicPartition> partitions = new ArrayList<>();
        for (String topic : topics) {
            for (PartitionInfo info : consumer.partitionsFor(topic)) {
                partitions.add(new TopicPartition(topic, info.partition()));
            }
        }
        consumer.assign(partitions);
        sayPlaces("assigned", partitions);
    }

    /** Tells records until there are enough or the input ends; answers what to commit. */
    private static Map<TopicPartition, OffsetAndMetadata> deliver(
            KafkaConsumer<byte[], byte[]> consumer, JsonNode task, CountDownLatch ended) {
        Map<TopicPartition, OffsetAndMetadata> delivered = new HashMap<>();
        long left = task.path("count").isNumber() ? task.get("count").asLong() : Long.MAX_VALUE;
        while (left > 0 && ended.getCount() > 0) {
            try {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                    if (left == 0) {
                        break;
                    }
                    say(line(record));
                    var place = new TopicPartition(record.topic(), record.partition());
                    delivered.put(place, new OffsetAndMetadata(record.offset() + 1));
                    left--;
                }
            } catch (KafkaException error) {
                say(object().set("error", failure(error)));
            }
        }
        return delivered;
    }

    private static ObjectNode line(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode line = object()
                .put("topic", record.topic())
                .put("partition", record.partition())
                .put("offset", record.offset())
                .put("timestamp", record.timestamp())
                .put("key", record.key())
                .put("value", record.value());
        ArrayNode headers = line.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value());
        }
        return line;
    }

    private static void sayPlaces(String what, Collection<TopicPartition> partitions) {
        ObjectNode line = object();
        ArrayNode places = line.putArray(what);
        partitions.forEach(place -> places.addArray().add(place.topic()).add(place.partition()));
        say(line);
    }

    // ---- admin

    private static void administrate(JsonNode task) throws Exception {
        Admin admin;
        try {
            admin = Admin.create(settings(task));
        } catch (KafkaException error) {
            while (line() != null) {
                say(object().set("error", failure(error)));
            }
            return;
        }
        JsonNode line;
        while ((line = line()) != null) {
            try {
                say(operate(admin, line));
            } catch (ExecutionException error) {
                say(object().set("error", failure(error.getCause())));
            }
        }
        admin.close();
    }

    private static ObjectNode operate(Admin admin, JsonNode line) throws Exception {
        String topic = line.path("topic").asText();
        switch (line.get("operation").asText()) {
            case "create-topic" -> {
                var wanted = new NewTopic(
                        topic, line.get("partitions").asInt(), (short) line.get("replication").asInt());
                admin.createTopics(List.of(wanted)).all().get();
            }
            case "delete-topic" -> admin.deleteTopics(List.of(topic)).all().get();
            case "list-topics" -> {
                ObjectNode answer = object();
                ArrayNode topics = answer.putArray("topics");
                admin.listTopics().names().get().forEach(topics::add);
                return answer;
            }
            case "describe-topic" -> {
                ObjectNode answer = object();
                ArrayNode partitions = answer.putArray("partitions");
                var described = admin.describeTopics(List.of(topic)).allTopicNames().get();
                for (TopicPartitionInfo info : described.get(topic).partitions()) {
                    int leader = info.leader() == null ? -1 : info.leader().id();
                    partitions.addObject().put("partition", info.partition()).put("leader", leader);
                }
                return answer;
            }
            default -> unimplemented("there is no such operation of an administrator");
        }
        return object().put("ok", true);
    }

    // ---- lines

    private static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /** The next line; null at the end of the input. */
    private static JsonNode line() throws IOException {
        String text;
        do {
            text = IN.readLine();
        } while (text != null && text.isBlank());
        return text == null ? null : JSON.readTree(text);
    }

    private static byte[] bytes(JsonNode text) throws IOException {
        return text.isTextual() ? Base64.getDecoder().decode(text.asText()) : null;
    }

    private static void say(JsonNode line) {
        try {
            byte[] text = (JSON.writeValueAsString(line) + "\n").getBytes(StandardCharsets.UTF_8);
            synchronized (OUT) {
                OUT.write(text, 0, text.length);
                OUT.flush();
            }
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static void unimplemented(String why) {
        say(object().put("unimplemented", why));
        System.exit(UNIMPLEMENTED);
    }

    /** The task's settings; it warns of those that it does not know, and ignores them. */
    private static Properties settings(JsonNode task) {
        Properties settings = new Properties();
        task.path("config").fields().forEachRemaining(
                setting -> settings.put(setting.getKey(), setting.getValue().asText()));
        settings.put("bootstrap.servers", task.get("bootstrap").asText());
        return settings;
    }

    private static ObjectNode failure(Throwable error) {
        ObjectNode told = object().putNull("code").put("name", error.getClass().getSimpleName());
        Errors answered = Errors.forException(error);
        if (error instanceof ApiException && answered != Errors.UNKNOWN_SERVER_ERROR) {
            told.put("code", answered.code()).put("name", answered.name());
        }
        told.put("retriable", error instanceof RetriableException);
        return told.put("message", String.valueOf(error.getMessage()));
    }
}
