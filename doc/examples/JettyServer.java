import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.AbstractHandler;

/**
 * Jetty that listens where the restore says. Dumped when it has served its own warm-up on a first port:
 *
 *     LD_PRELOAD=libsnapctl.so.0 snapctl dump --until=listen=8080 --warmup 'curl -s localhost:8080' java ...
 *     snapctl restore --setenv GREETING=hello image/
 */
public class JettyServer {
    static final long AREA = 0x2eca00000000L;
    static final long MAGIC = 0x3161657261637073L;

    /** What --setenv said at the restore; empty before. Layout: lib/protocol.h. */
    static Map<String, String> restoredEnv() {
        Map<String, String> env = new HashMap<>();
        byte[] bytes = new byte[65536];
        try (RandomAccessFile mem = new RandomAccessFile("/proc/self/mem", "r")) {
            mem.seek(AREA);
            mem.readFully(bytes);
        } catch (IOException e) {
            return env;
        }
        ByteBuffer area = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (area.getLong(0) != MAGIC || area.getInt(12) != 1) {
            return env;
        }
        int args = area.getInt(32), all = args + area.getInt(36);
        String[] texts = new String(bytes, 40, bytes.length - 40).split("\0", all + 1);
        for (int i = args; i < all; i++) {
            int at = texts[i].indexOf('=');
            env.put(texts[i].substring(0, at), texts[i].substring(at + 1));
        }
        return env;
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server(Integer.parseInt(args[0]));
        server.setHandler(new AbstractHandler() {
            @Override
            public void handle(String target, Request base, HttpServletRequest request, HttpServletResponse response)
                    throws IOException {
                base.setHandled(true);
                response.getWriter().println(restoredEnv().getOrDefault("GREETING", "nobody told me"));
            }
        });
        server.start();
        server.join();
    }
}
