import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** All the fields of the telephony events that the aggregation needs. */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Event {
    public String type;
    public String id;
    public long at;
    public String source;
    public String manager;
    public String call;
    public String lead;
    public String direction;
    public String kind;
    public String state;
    public long started_at;
    public Long answered_at;
    public long talk_ms;
    public String disposition;
}
