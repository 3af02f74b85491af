import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What a finished call counts: the layout of a minute's and of a day's bucket, and their bytes. */
final class Counts {
    static final List<String> KINDS = List.of("cold", "targeted", "inbound", "repeat", "unknown");
    static final List<String> DISPOSITIONS =
        List.of("answered", "no_answer", "busy", "failed", "canceled", "voicemail");
    static final long[] BOUNDS_MS = {6_000, 20_000, 60_000, 120_000, 180_000, 300_000, 600_000, 1_200_000};

    static final int INBOUND = 0;
    static final int OUTBOUND = 1;
    static final int ANSWERED = 2;
    static final int CONNECTED = 3;
    static final int TALKED = 4;
    static final int SHORT = 5;
    static final int MEANINGFUL = 6;
    static final int CONVERSATIONS = 7;
    static final int TALK_MS = 8;
    static final int WIDTH_MINUTE = 10;
    static final int KIND = WIDTH_MINUTE;
    static final int DISPOSITION = KIND + KINDS.size();
    static final int HOUR_CALLS = DISPOSITION + DISPOSITIONS.size();
    static final int HOUR_TALK_MS = HOUR_CALLS + 24;
    static final int HISTOGRAM = HOUR_TALK_MS + 24;
    static final int WIDTH_DAY = HISTOGRAM + BOUNDS_MS.length + 1;

    private Counts() { }

    /** Adds what minutes and days share. */
    static void add(long[] into, Event end) {
        boolean outbound = end.direction.equals("outbound");
        into[outbound ? OUTBOUND : INBOUND]++;
        if (!end.disposition.equals("answered")) {
            return;
        }
        into[ANSWERED]++;
        into[TALKED]++;
        into[TALK_MS] += end.talk_ms;
        if (outbound) {
            into[CONNECTED]++;
        }
        if (end.talk_ms < 120_000) {
            into[SHORT]++;
        }
        if (end.talk_ms >= 60_000) {
            into[CONVERSATIONS]++;
        }
        if (end.talk_ms >= 300_000) {
            into[MEANINGFUL]++;
        }
    }

    /** Adds a finished call to its day. */
    static void addDay(long[] day, Event end) {
        add(day, end);
        int hour = (int) (end.at % 86_400_000L / 3_600_000L);
        day[KIND + (end.kind == null ? KINDS.size() - 1 : KINDS.indexOf(end.kind))]++;
        day[DISPOSITION + DISPOSITIONS.indexOf(end.disposition)]++;
        day[HOUR_CALLS + hour]++;
        if (end.disposition.equals("answered")) {
            day[HOUR_TALK_MS + hour] += end.talk_ms;
            int place = 0;
            while (place < BOUNDS_MS.length && end.talk_ms > BOUNDS_MS[place]) {
                place++;
            }
            day[HISTOGRAM + place]++;
        }
    }

    /** Returns the bytes of buckets: their numbers, eight bytes each. */
    static Serde<long[]> serde() {
        return Serdes.serdeFrom((topic, numbers) -> numbers == null ? null : write(numbers), (topic, bytes) -> read(bytes));
    }

    private static long[] read(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        long[] numbers = new long[bytes.length / Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().get(numbers);
        return numbers;
    }

    private static byte[] write(long[] numbers) {
        byte[] bytes = new byte[numbers.length * Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().put(numbers);
        return bytes;
    }
}
