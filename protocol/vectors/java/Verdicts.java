// What Apache Kafka's own classes do with the rows of negative.tsv.gz: reads the rows, writes them
// with the last column filled in. ../README.md says how it is run.

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;

final class Verdicts {
    private static final int NAME = 1;
    private static final int KIND = 2;
    private static final int VERSION = 3;
    private static final int HEX = 5;
    private static final int KAFKA = 11;

    /** From the simple names of all classes in Kafka's jars to their names. */
    private static final Map<String, String> CLASSES = new HashMap<>();

    public static void main(String[] arguments) throws IOException {
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (path.contains("kafka") && path.endsWith(".jar")) {
                list(path);
            }
        }
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] columns = line.split("\t", -1);
            if (!line.startsWith("#")) {
                columns[KAFKA] = verdict(columns);
            }
            out.print(String.join("\t", columns) + "\n");
        }
        out.flush();
    }

    private static void list(String path) throws IOException {
        try (JarFile jar = new JarFile(path)) {
            for (Enumeration<JarEntry> all = jar.entries(); all.hasMoreElements(); ) {
                String name = all.nextElement().getName();
                if (name.endsWith(".class") && !name.contains("$")) {
                    String full = name.substring(0, name.length() - 6).replace('/', '.');
                    CLASSES.putIfAbsent(full.substring(full.lastIndexOf('.') + 1), full);
                }
            }
        }
    }

    private static String verdict(String[] columns) {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(columns[HEX]));
        try {
            if (columns[KIND].equals("batch")) {
                return readBatches(bytes);
            }
            String suffix = columns[KIND].equals("record") ? "" : "Data";
            String name = CLASSES.get(columns[NAME] + suffix);
            short version = Short.parseShort(columns[VERSION]);
            // Not every release has every message, or generates it.
            Class<?> type = name == null ? null : Class.forName(name);
            if (type == null || !ApiMessage.class.isAssignableFrom(type)) {
                return "unknown";
            }
            ApiMessage message = (ApiMessage) type.getDeclaredConstructor().newInstance();
            if (version < message.lowestSupportedVersion()
                    || version > message.highestSupportedVersion()) {
                return "unknown";
            }
            message.read(new ByteBufferAccessor(bytes), version);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(columns[NAME], error);
        } catch (Exception | OutOfMemoryError error) {
            return "rejects: " + told(error);
        }
        int left = bytes.remaining();
        return left == 0 ? "accepts" : "accepts: leaves " + left + (left == 1 ? " byte" : " bytes");
    }

    /** As a consumer that checks checksums. */
    private static String readBatches(ByteBuffer bytes) {
        int count = 0;
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(bytes).batches()) {
            batch.ensureValid();
            for (Record record : batch) {
                record.ensureValid();
                count += 1;
            }
        }
        return "accepts: " + count + (count == 1 ? " record" : " records");
    }

    private static String told(Throwable error) {
        String message = error.getMessage();
        String name = error.getClass().getSimpleName();
        return message == null ? name : name + ": " + message.replaceAll("\\s+", " ");
    }
}
