import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What of a manager is of the moment: presence, last activity, open legs and the ring of minutes. */
final class Row {
    private static final int RING_MINUTES = 60;

    String presence = "";
    long activityAt;
    final Map<String, long[]> legs = new HashMap<>();
    final Map<Long, long[]> ring = new HashMap<>();

    /** Returns the bucket of the minute, and forgets those that have left the ring. */
    long[] minute(long minute) {
        long[] bucket = ring.get(minute);
        if (bucket == null) {
            ring.keySet().removeIf(other -> other <= minute - RING_MINUTES);
            bucket = new long[Counts.WIDTH_MINUTE];
            ring.put(minute, bucket);
        }
        return bucket;
    }

    /** Returns a compact binary form: faster than JSON, and what one would write where speed counts. */
    static Serde<Row> serde() {
        return Serdes.serdeFrom((topic, row) -> row == null ? null : row.write(), (topic, bytes) -> read(bytes));
    }

    private byte[] write() {
        int size = 8 + 4 + presence.length() + 4 + 4 + ring.size() * 8 * (1 + Counts.WIDTH_MINUTE);
        for (String call : legs.keySet()) {
            size += 4 + call.length() + 16;
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.putLong(activityAt);
        putText(out, presence);
        out.putInt(legs.size());
        legs.forEach((call, times) -> {
            putText(out, call);
            out.putLong(times[0]).putLong(times[1]);
        });
        out.putInt(ring.size());
        ring.forEach((minute, counts) -> {
            out.putLong(minute);
            out.asLongBuffer().put(counts);
            out.position(out.position() + 8 * counts.length);
        });
        return out.array();
    }

    private static Row read(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Row row = new Row();
        row.activityAt = in.getLong();
        row.presence = text(in);
        for (int left = in.getInt(); left > 0; left--) {
            row.legs.put(text(in), new long[] {in.getLong(), in.getLong()});
        }
        for (int left = in.getInt(); left > 0; left--) {
            long minute = in.getLong();
            long[] counts = new long[Counts.WIDTH_MINUTE];
            in.asLongBuffer().get(counts);
            in.position(in.position() + 8 * counts.length);
            row.ring.put(minute, counts);
        }
        return row;
    }

    /** Ids of this workload are ASCII. */
    private static void putText(ByteBuffer out, String text) {
        out.putInt(text.length()).put(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[in.getInt()];
        in.get(bytes);
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }
}
