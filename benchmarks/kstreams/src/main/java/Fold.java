import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/** The aggregation per manager on Kafka Streams' stores: a row a manager, and a row a manager and day. */
final class Fold implements Processor<String, byte[], Void, Void> {
    static final String MANAGERS = "managers";
    static final String DAYS = "days";

    private final Progress progress;
    private final ObjectReader json;
    private KeyValueStore<String, Row> managers;
    private KeyValueStore<String, long[]> days;

    Fold(Progress progress, ObjectReader json) {
        this.progress = progress;
        this.json = json;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        managers = context.getStateStore(MANAGERS);
        days = context.getStateStore(DAYS);
        progress.folds.add(this);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        progress.begun();
        Event event;
        try {
            event = json.readValue(record.value());
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
        Row row = managers.get(event.manager);
        if (row == null) {
            row = new Row();
        }
        row.activityAt = Math.max(row.activityAt, event.at);
        switch (event.type) {
            case "manager.presence" -> row.presence = event.state;
            case "call.started" -> row.legs.put(event.call, new long[] {event.at, 0});
            case "call.answered" -> {
                long[] leg = row.legs.get(event.call);
                if (leg != null) {
                    leg[1] = event.at;
                }
            }
            default -> ended(row, event);
        }
        managers.put(event.manager, row);
        progress.done();
    }

    private void ended(Row row, Event event) {
        row.legs.remove(event.call);
        Counts.add(row.minute(event.at / 60_000), event);
        String key = event.manager + '|' + event.at / 86_400_000L;
        long[] day = days.get(key);
        if (day == null) {
            day = new long[Counts.WIDTH_DAY];
        }
        Counts.addDay(day, event);
        days.put(key, day);
    }

    /** Adds this task's days to {@code total}. */
    void addTo(long[] total) {
        try (KeyValueIterator<String, long[]> rows = days.all()) {
            while (rows.hasNext()) {
                long[] day = rows.next().value;
                for (int place = 0; place < day.length; place++) {
                    total[place] += day[place];
                }
            }
        }
    }
}
