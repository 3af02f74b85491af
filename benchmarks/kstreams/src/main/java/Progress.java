import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Counts records on the one stream thread; after the last it writes the answer and ends the process. */
final class Progress {
    final List<Fold> folds = new ArrayList<>();
    private final long events;
    private long seen;
    private long startedWall;
    private long startedCpu;

    Progress(long events) {
        this.events = events;
    }

    void begun() {
        if (seen == 0) {
            startedWall = System.nanoTime();
            startedCpu = cpu();
        }
    }

    void done() {
        seen++;
        if (seen < events) {
            return;
        }
        double seconds = (System.nanoTime() - startedWall) / 1e9;
        double cpuSeconds = (cpu() - startedCpu) / 1e9;
        long[] total = new long[Counts.WIDTH_DAY];
        folds.forEach(fold -> fold.addTo(total));
        System.out.printf(
            "{\"events\":%d,\"seconds\":%s,\"cpu_seconds\":%s,\"counts\":%s}%n",
            seen, seconds, cpuSeconds, Arrays.toString(total));
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }
}
